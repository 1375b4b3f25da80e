//! The log behaves like a vector of envelopes, whatever is appended, read and reopened in between.

use domain::{Envelope, Event, Seq, Timestamp};
use eventlog::{Log, Step};
use proptest::prelude::*;

use crate::append::{all, sized, step};

#[derive(Debug, Clone)]
enum Operation {
    /// Steps: bytes of the input's payload, and number of decisions.
    Append(Vec<(usize, u32)>),
    Read(u64, u64),
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    // Mostly small; now and then one that needs several values of 48 KiB.
    let input = prop_oneof![8 => 0usize..400, 1 => 40_000usize..200_000];
    let steps = prop::collection::vec((input, 0u32..6), 0..20);
    prop_oneof![
        6 => steps.prop_map(Operation::Append),
        2 => (0u64..300, 0u64..300).prop_map(|(from, to)| Operation::Read(from, to)),
        1 => Just(Operation::Reopen),
    ]
}

fn events(&(size, decisions): &(usize, u32)) -> Vec<Event> {
    let mut events = vec![sized(size)];
    events.extend(step(decisions).drain(1..));
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_log_is_a_vector(operations in prop::collection::vec(operation(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let mut open = Some(Log::open(dir.path()).unwrap());
        let mut model: Vec<Envelope> = Vec::new();
        for (now, operation) in (1u64..).zip(&operations) {
            let (log, reader) = open.as_mut().unwrap();
            match operation {
                Operation::Append(steps) => {
                    let steps: Vec<_> = steps.iter().map(events).collect();
                    let first = model.len() as u64 + 1;
                    for step in &steps {
                        let cause = Seq(model.len() as u64 + 1);
                        for event in step {
                            let (seq, event) = (Seq(model.len() as u64 + 1), event.clone());
                            model.push(Envelope { seq, at: Timestamp(now), cause, event });
                        }
                    }
                    let steps: Vec<_> =
                        steps.iter().map(|events| Step::new(Timestamp(now), events)).collect();
                    let seqs = log.append(&steps).unwrap();
                    prop_assert_eq!(seqs, Seq(first)..Seq(model.len() as u64 + 1));
                }
                Operation::Read(from, to) => {
                    let read: Vec<_> =
                        reader.range(Seq(*from)..=Seq(*to)).collect::<Result<_, _>>().unwrap();
                    let wanted = model.iter().filter(|e| (*from..=*to).contains(&e.seq.0));
                    prop_assert!(read.iter().eq(wanted));
                }
                Operation::Reopen => {
                    drop(open.take());
                    open = Some(Log::open(dir.path()).unwrap());
                }
            }
            let (_, reader) = open.as_ref().unwrap();
            prop_assert_eq!(reader.durable(), Seq(model.len() as u64));
        }
        let (_, reader) = open.as_ref().unwrap();
        prop_assert!(all(reader) == model);
        prop_assert_eq!(reader.verify().unwrap().events, model.len() as u64);
    }
}
