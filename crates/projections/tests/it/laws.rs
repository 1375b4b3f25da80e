//! Laws of every read model: how a history is cut into batches, and how often the process restarts in
//! between, makes no difference; and what is thrown away comes back equal.

use std::path::Path;

use domain::{Envelope, Seq};
use eventlog::{Log, Reader};
use projections::jobs::{JobView, Jobs, NodeView};
use projections::trace::{Trace, TraceSummary};
use projections::{AsOf, Projection, Store, follow};
use proptest::prelude::*;

use crate::history::{append, generated};

type JobTrace = (AsOf<Vec<Envelope>>, AsOf<Option<TraceSummary>>);

#[derive(Debug, PartialEq)]
struct Everything {
    jobs: AsOf<Vec<JobView>>,
    node: AsOf<Option<NodeView>>,
    traces: Vec<JobTrace>,
}

fn everything(store: &Store, reader: &Reader) -> Everything {
    let (mut jobs, job_view) = Jobs::open(store).unwrap();
    let (mut trace, trace_view) = Trace::open(store, reader.clone()).unwrap();
    follow::catch_up(&mut jobs, reader).unwrap();
    follow::catch_up(&mut trace, reader).unwrap();
    let jobs = job_view.all().unwrap();
    assert_eq!(job_view.position().position(), reader.durable());
    for job in &jobs.value {
        assert_eq!(job_view.get(job.head.job).unwrap().value.as_ref(), Some(job));
        assert_eq!(job.head.reason.is_some(), job.head.next_action.is_some());
        for track in &job.tracks {
            assert_eq!(track.reason.is_some(), track.next_action.is_some(), "{track:?}");
        }
    }
    let heads: Vec<_> = jobs.value.iter().map(|job| job.head.clone()).collect();
    assert_eq!(job_view.heads().unwrap().value, heads);
    let traces = heads.iter().map(|head| {
        let events = trace_view.events(head.job, Seq(0), usize::MAX).unwrap();
        (events, trace_view.summary(head.job).unwrap())
    });
    Everything { traces: traces.collect(), node: job_view.node().unwrap(), jobs }
}

/// Folds the log in batches of the given sizes; where the flag is set the process restarts first.
fn folded(dir: &Path, reader: &Reader, batches: &[(usize, bool)]) -> Everything {
    let mut next = 1;
    let mut store = Store::open(dir).unwrap();
    let (mut jobs, mut trace) =
        (Jobs::open(&store).unwrap(), Trace::open(&store, reader.clone()).unwrap());
    jobs.0.reset(reader.identity()).unwrap();
    trace.0.reset(reader.identity()).unwrap();
    for &(size, restart) in batches.iter().cycle() {
        if next > reader.durable().0 {
            break;
        }
        if restart {
            drop((jobs, trace, store));
            store = Store::open(dir).unwrap();
            jobs = Jobs::open(&store).unwrap();
            trace = Trace::open(&store, reader.clone()).unwrap();
        }
        let last = Seq(next + size as u64);
        let batch: Vec<_> = reader.records(Seq(next)..=last).collect::<Result<_, _>>().unwrap();
        jobs.0.apply(&batch).unwrap();
        trace.0.apply(&batch).unwrap();
        next = last.0 + 1;
    }
    drop((jobs, trace));
    everything(&store, reader)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_and_restarts_make_no_difference(
        seed in any::<u64>(),
        batches in prop::collection::vec((0usize..120, prop::bool::weighted(0.2)), 1..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
        append(&mut log, &generated(seed, 300));
        let whole = folded(&dir.path().join("whole"), &reader, &[(100_000, false)]);
        let parts = folded(&dir.path().join("parts"), &reader, &batches);
        prop_assert!(!whole.jobs.value.is_empty());
        prop_assert_eq!(&whole, &parts);

        let store = Store::open(&dir.path().join("parts")).unwrap();
        store.discard(Jobs::NAME).unwrap();
        store.discard(Trace::NAME).unwrap();
        prop_assert_eq!(&whole, &everything(&store, &reader));
    }
}
