//! The log behaves like a vector of envelopes, a revision per stream and a set of commands, whatever is
//! appended, refused, read, closed and killed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use domain::{Envelope, Event, Seq, Timestamp};
use eventlog::{AppendError, CommandId, Limits, Log, Reader, Step, Stream};
use proptest::prelude::*;

use crate::append::{all, sized, step};

/// In memory: thousands of logs are made, and what a disk does is tried elsewhere.
pub const MEMORY: &str = "/dev/shm";

/// Some cases fill a volume, and most do not.
const LIMITS: Limits = Limits { volume_events: 60, volume_bytes: 1024 * 1024 };

#[derive(Debug, Clone)]
enum Operation {
    Append(Vec<Draft>),
    /// The same if this stream is at its revision, or at another one.
    Expect(Stream, bool, Vec<Draft>),
    Read(u64, u64),
    Reopen,
    /// The process is gone from one moment to the next, with so many bytes of an append written.
    Crash(usize),
}

#[derive(Debug, Clone)]
struct Draft {
    /// Bytes of the input's payload.
    size: usize,
    decisions: u32,
    command: Option<u128>,
}

impl Draft {
    fn events(&self) -> Vec<Event> {
        let mut events = vec![sized(self.size)];
        events.extend(step(self.decisions).drain(1..));
        events
    }
}

fn draft() -> impl Strategy<Value = Draft> {
    // Mostly small; now and then one that needs several values of 48 KiB.
    let size = prop_oneof![30 => 0usize..400, 1 => 40_000usize..200_000];
    let command = prop::option::weighted(0.3, 0u128..12);
    (size, 0u32..6, command).prop_map(|(size, decisions, command)| Draft {
        size,
        decisions,
        command,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let drafts = || prop::collection::vec(draft(), 0..6);
    let stream =
        prop_oneof![Just(Stream::Node), (0u32..6).prop_map(|job| Stream::Job(domain::JobId(job)))];
    prop_oneof![
        6 => drafts().prop_map(Operation::Append),
        3 => (stream, any::<bool>(), drafts())
            .prop_map(|(stream, right, drafts)| Operation::Expect(stream, right, drafts)),
        2 => (0u64..60, 0u64..60).prop_map(|(from, to)| Operation::Read(from, to)),
        1 => Just(Operation::Reopen),
        1 => (0usize..300).prop_map(Operation::Crash),
    ]
}

/// What the log should be.
#[derive(Default)]
struct Model {
    events: Vec<Envelope>,
    revisions: BTreeMap<Stream, u64>,
    taken: BTreeMap<u128, Seq>,
}

impl Model {
    fn next(&self) -> Seq {
        Seq(self.events.len() as u64 + 1)
    }

    fn revision(&self, stream: Stream) -> u64 {
        self.revisions.get(&stream).copied().unwrap_or(0)
    }

    /// The command that was taken before, or is named twice.
    fn repeated(&self, drafts: &[Draft]) -> Option<Seq> {
        let (mut taken, mut next) = (self.taken.clone(), self.next());
        for draft in drafts {
            if let Some(before) = draft.command.and_then(|command| taken.insert(command, next)) {
                return Some(before);
            }
            next = Seq(next.0 + 1 + u64::from(draft.decisions));
        }
        None
    }

    fn append(&mut self, drafts: &[Draft], at: Timestamp) {
        for draft in drafts {
            let cause = self.next();
            draft.command.map(|command| self.taken.insert(command, cause));
            for event in draft.events() {
                *self.revisions.entry(Stream::of(&event)).or_default() += 1;
                self.events.push(Envelope { seq: self.next(), at, cause, event });
            }
        }
    }
}

fn append(
    log: &mut Log,
    drafts: &[Draft],
    expected: &[(Stream, u64)],
    at: Timestamp,
) -> Result<std::ops::Range<Seq>, AppendError> {
    let events: Vec<_> = drafts.iter().map(Draft::events).collect();
    let steps: Vec<_> = drafts
        .iter()
        .zip(&events)
        .map(|(draft, events)| Step {
            command: draft.command.map(CommandId),
            ..Step::new(at, events)
        })
        .collect();
    log.append_if(&steps, expected)
}

/// The files as a kill leaves them, and what else was being written.
fn kill(from: &Path, to: &Path, torn: usize) {
    loop {
        let before = names(from);
        // A volume that is being sealed changes its name.
        if copy(from, to).is_ok() && names(from) == before {
            break;
        }
        fs::remove_dir_all(to).unwrap();
    }
    let journals = names(to).into_iter().filter(|name| name.extension() == Some("wal".as_ref()));
    for journal in journals {
        let bytes = fs::read(&journal).unwrap();
        let end = *crate::damage::offsets(&bytes).last().unwrap() as u64;
        let file = fs::File::options().write(true).open(&journal).unwrap();
        file.write_all_at(&[&b"RBLK"[..], &vec![7; torn]].concat(), end).unwrap();
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let (from, to) = (entry?.path(), to);
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() { copy(&from, &to)? } else { fs::copy(&from, &to).map(drop)? }
    }
    Ok(())
}

/// All paths below a folder that is not told from one that is gone.
fn names(dir: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| names(&path).into_iter().chain([path])).collect()
}

fn check(reader: &Reader, model: &Model) {
    assert!(all(reader) == model.events);
    let mut revisions = BTreeMap::new();
    for record in reader.records(Seq(1)..=Seq(u64::MAX)) {
        let record = record.unwrap();
        let revision = revisions.entry(record.stream).or_insert(0);
        *revision += 1;
        assert_eq!(record.revision, *revision);
    }
    assert_eq!(revisions, model.revisions);
    assert_eq!(reader.verify().unwrap().events, model.events.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_log_is_a_vector(operations in prop::collection::vec(operation(), 1..12)) {
        let mut dirs = vec![tempfile::tempdir_in(MEMORY).expect("this test needs /dev/shm")];
        let mut dir = dirs[0].path().join("log");
        let mut open = Some(Log::open_with(&dir, LIMITS).unwrap());
        let mut model = Model::default();
        for (at, operation) in (1u64..).map(Timestamp).zip(&operations) {
            let (log, reader) = open.as_mut().unwrap();
            match operation {
                Operation::Append(drafts) => match (append(log, drafts, &[], at), model.repeated(drafts)) {
                    (Ok(seqs), None) => {
                        prop_assert_eq!(seqs.start, model.next());
                        model.append(drafts, at);
                        prop_assert_eq!(seqs.end, model.next());
                    }
                    (Err(AppendError::Repeated(seq)), Some(before)) => prop_assert_eq!(seq, before),
                    (appended, repeated) => panic!("{appended:?}, {repeated:?}"),
                },
                Operation::Expect(stream, right, drafts) => {
                    let actual = model.revision(*stream);
                    let expected = actual + u64::from(!right);
                    match append(log, drafts, &[(*stream, expected)], at) {
                        Ok(_) => {
                            prop_assert!(*right);
                            prop_assert_eq!(model.repeated(drafts), None);
                            model.append(drafts, at);
                        }
                        Err(AppendError::Repeated(seq)) => {
                            prop_assert!(*right);
                            prop_assert_eq!(Some(seq), model.repeated(drafts));
                        }
                        Err(error) => {
                            let refused = AppendError::Unexpected { stream: *stream, expected, actual };
                            prop_assert_eq!(error.to_string(), refused.to_string());
                            prop_assert!(!right);
                        }
                    }
                }
                Operation::Read(from, to) => {
                    let read: Vec<_> =
                        reader.range(Seq(*from)..=Seq(*to)).collect::<Result<_, _>>().unwrap();
                    let wanted = model.events.iter().filter(|e| (*from..=*to).contains(&e.seq.0));
                    prop_assert!(read.iter().eq(wanted));
                }
                Operation::Reopen => {
                    drop(open.take());
                    open = Some(Log::open_with(&dir, LIMITS).unwrap());
                }
                Operation::Crash(torn) => {
                    let left = tempfile::tempdir_in(MEMORY).unwrap();
                    let next = left.path().join("log");
                    kill(&dir, &next, *torn);
                    drop(open.take());
                    dirs.push(left);
                    dir = next;
                    open = Some(Log::open_with(&dir, LIMITS).unwrap());
                }
            }
            let (log, reader) = open.as_ref().unwrap();
            prop_assert_eq!(reader.durable(), Seq(model.events.len() as u64));
            for (stream, revision) in &model.revisions {
                prop_assert_eq!(log.revision(*stream), *revision);
            }
            for (command, seq) in &model.taken {
                prop_assert_eq!(log.taken(CommandId(*command)), Some(*seq));
            }
        }
        check(&open.as_ref().unwrap().1, &model);
    }
}
