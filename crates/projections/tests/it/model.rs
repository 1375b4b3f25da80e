//! A log and its read models behave like a vector and a fold of its beginning, whatever is appended, folded
//! in, folded anew, given up, closed and killed in between. What the log alone is held to is in its own
//! model, `crates/eventlog/tests/it/model.rs`; what a folding that dies leaves, in `rebuild`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use domain::{Envelope, JobId, Seq, Timestamp};
use eventlog::{Limits, Log, Reader, Record, Step, Stream};
use projections::jobs::{self, Jobs};
use projections::trace::{self, Trace};
use projections::{AsOf, Projection, Store, follow, past};
use proptest::prelude::*;

use crate::history::{Steps, generated};
use crate::rebuild::{Other, THIS};

/// In memory: thousands of logs are made, and what a disk does is tried elsewhere.
const MEMORY: &str = "/dev/shm";

/// Some cases fill a volume, and most do not.
const LIMITS: Limits = Limits { volume_events: 50, volume_bytes: 1024 * 1024 };

#[derive(Debug, Clone)]
enum Operation {
    /// So many of the steps that come next, as one commit.
    Append(usize),
    /// The jobs take in so many events, as one commit of theirs.
    Jobs(usize),
    /// The traces do.
    Traces(usize),
    /// The jobs are folded anew by a program that commits so many events at a time and dies after so many
    /// commits.
    Rebuild(usize, usize),
    /// Somebody gives up the rows of the jobs.
    Discard,
    Reopen,
    /// The process is gone from one moment to the next.
    Crash,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0usize..12).prop_map(Operation::Append),
        4 => (0usize..40).prop_map(Operation::Jobs),
        3 => (0usize..40).prop_map(Operation::Traces),
        2 => (1usize..30, 0usize..5).prop_map(|(commit, commits)| Operation::Rebuild(commit, commits)),
        1 => Just(Operation::Discard),
        1 => Just(Operation::Reopen),
        2 => Just(Operation::Crash),
    ]
}

/// One process: the log and what is folded of it.
struct Process {
    log: Log,
    reader: Reader,
    store: Store,
    jobs: (Jobs, jobs::View),
    trace: (Trace, trace::View),
}

impl Process {
    fn start(dir: &Path) -> Self {
        let (log, reader) = Log::open_with(&dir.join("log"), LIMITS).unwrap();
        let store = Store::open(&dir.join("views")).unwrap();
        let mut jobs = Jobs::open(&store).unwrap();
        let mut trace = Trace::open(&store, reader.clone()).unwrap();
        begin(&mut jobs.0, &reader);
        begin(&mut trace.0, &reader);
        Self { log, reader, store, jobs, trace }
    }
}

/// As a follower begins: a view that was never started is.
fn begin(view: &mut impl Projection, reader: &Reader) {
    if view.checkpoint().unwrap().is_none() {
        view.reset(reader.identity()).unwrap();
    }
}

/// Takes in the next events in one commit.
fn advance(view: &mut impl Projection, reader: &Reader, most: usize) {
    let next = view.checkpoint().unwrap().unwrap().seq.0 + 1;
    let batch: Vec<Record> =
        reader.records(Seq(next)..=Seq(u64::MAX)).take(most).map(Result::unwrap).collect();
    view.apply(&batch).unwrap();
}

/// The files as a kill leaves them.
fn kill(from: &Path, to: &Path) {
    loop {
        let before = files(from);
        // A volume that is being sealed changes its name, and a store may be written meanwhile.
        if copy(from, to).is_ok() && files(from) == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let from = entry?.path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() { copy(&from, &to)? } else { fs::copy(&from, &to).map(drop)? }
    }
    Ok(())
}

/// All files below a folder, and when they were written last.
fn files(dir: &Path) -> BTreeMap<PathBuf, Option<(u64, SystemTime)>> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| {
            let written = fs::metadata(&path).and_then(|it| Ok((it.len(), it.modified()?))).ok();
            files(&path).into_iter().chain([(path, written)])
        })
        .collect()
}

/// What was appended, and what will be.
struct Model {
    events: Vec<Envelope>,
    left: Steps,
}

impl Model {
    fn append(&mut self, log: &mut Log, count: usize, at: Timestamp) {
        let count = count.min(self.left.len());
        let steps: Steps = self.left.drain(..count).collect();
        log.append(&steps.iter().map(|events| Step::new(at, events)).collect::<Vec<_>>()).unwrap();
        for step in steps {
            let cause = Seq(self.events.len() as u64 + 1);
            for event in step {
                let seq = Seq(self.events.len() as u64 + 1);
                self.events.push(Envelope { seq, at, cause, event });
            }
        }
    }

    fn check(&self, process: &Process) {
        let Process { reader, jobs, trace, .. } = process;
        let all: Vec<_> = reader.range(Seq(1)..=Seq(u64::MAX)).map(Result::unwrap).collect();
        assert!(all == self.events);
        let shown = jobs.1.all().unwrap();
        assert!(shown.seq <= reader.durable());
        assert_eq!(shown, past::jobs(reader, shown.seq).unwrap().all().unwrap());
        // A trace is the events of the job and what caused them, as far as it is folded.
        let checkpoint = trace.0.checkpoint().unwrap().unwrap().seq;
        for head in jobs.1.heads().unwrap().value {
            let AsOf { seq, value } = trace.1.events(head.job, Seq(0), usize::MAX).unwrap();
            assert_eq!(seq, checkpoint);
            let folded = &self.events[..usize::try_from(seq.0).unwrap()];
            let own = folded.iter().filter(|it| {
                let caused = |by: &Envelope| by.cause == it.seq && is_of(by, head.job);
                is_of(it, head.job) || folded.iter().any(caused)
            });
            assert!(value.iter().eq(own));
        }
    }
}

fn is_of(envelope: &Envelope, job: JobId) -> bool {
    Stream::of(&envelope.event) == Stream::Job(job)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn views_are_folds_of_a_vector(
        seed in any::<u64>(),
        operations in prop::collection::vec(operation(), 1..14),
    ) {
        let mut dirs = vec![tempfile::tempdir_in(MEMORY).expect("this test needs /dev/shm")];
        let mut dir = dirs[0].path().join("process");
        fs::create_dir(&dir).unwrap();
        let mut process = Some(Process::start(&dir));
        let mut model = Model { events: Vec::new(), left: generated(seed, 150) };
        for (at, operation) in (1u64..).map(Timestamp).zip(&operations) {
            let Process { log, reader, store, jobs, trace } = process.as_mut().unwrap();
            match *operation {
                Operation::Append(count) => model.append(log, count, at),
                Operation::Jobs(most) => advance(&mut jobs.0, reader, most),
                Operation::Traces(most) => advance(&mut trace.0, reader, most),
                Operation::Rebuild(commit, commits) => {
                    let (mortal, _) = Jobs::open(store).unwrap();
                    let mut mortal = Other::<THIS, THIS>::mortal(mortal, 0, commit, commits);
                    // It may live to the end.
                    let _ = follow::rebuild(&mut mortal, reader);
                    *jobs = Jobs::open(store).unwrap();
                }
                Operation::Discard => {
                    store.discard(Jobs::NAME).unwrap();
                    *jobs = Jobs::open(store).unwrap();
                    begin(&mut jobs.0, reader);
                }
                Operation::Reopen => {
                    drop(process.take());
                    process = Some(Process::start(&dir));
                }
                Operation::Crash => {
                    let left = tempfile::tempdir_in(MEMORY).unwrap();
                    let next = left.path().join("process");
                    kill(&dir, &next);
                    drop(process.take());
                    dirs.push(left);
                    dir = next;
                    process = Some(Process::start(&dir));
                    model.check(process.as_ref().unwrap());
                }
            }
            prop_assert_eq!(process.as_ref().unwrap().reader.durable(), Seq(model.events.len() as u64));
        }
        model.check(process.as_ref().unwrap());
        let Process { reader, jobs, trace, .. } = process.as_mut().unwrap();
        follow::catch_up(&mut jobs.0, reader).unwrap();
        follow::catch_up(&mut trace.0, reader).unwrap();
        prop_assert_eq!(jobs.1.all().unwrap().seq, reader.durable());
        model.check(process.as_ref().unwrap());
    }
}
