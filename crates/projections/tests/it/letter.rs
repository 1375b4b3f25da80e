//! Dead letters: what a view cannot fold in, it goes on without and keeps in a list; what its store
//! refuses still stops it.

use domain::{Command, Seq};
use eventlog::{Log, Record, Schema};
use projections::jobs::Jobs;
use projections::table::Table;
use projections::trace::Trace;
use projections::{ApplyError, DeadLetter, Projection, Store, follow};

use crate::history::{RELEASE, added, append, asked, fetched, key, started};

/// The jobs as a program folds them that does not know the type of some event yet.
struct Earlier {
    jobs: Jobs,
    unknown: Seq,
}

impl Projection for Earlier {
    const NAME: &'static str = Jobs::NAME;
    const VERSION: u32 = Jobs::VERSION;
    const READABLE_SINCE: u32 = Jobs::READABLE_SINCE;

    type Rows = Table;

    fn rows(&self) -> &Table {
        self.jobs.rows()
    }

    fn over(&self, table: Table) -> Self {
        Self { jobs: self.jobs.over(table), unknown: self.unknown }
    }

    fn apply(&mut self, batch: &[Record]) -> Result<(), ApplyError> {
        self.jobs.apply(&with_unknown(batch, self.unknown))
    }
}

fn with_unknown(batch: &[Record], unknown: Seq) -> Vec<Record> {
    let known = |record: &Record| match record.seq == unknown {
        true => Record { schema: Schema { kind: 999, version: 1 }, ..record.clone() },
        false => record.clone(),
    };
    batch.iter().map(known).collect()
}

const WORDS: &str = "an event of type 999, version 1, which this program does not know";

#[test]
fn an_event_of_a_newer_program_is_set_aside_and_the_view_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
    // The second is not understood, which is the addition of the first job.
    append(&mut log, &[vec![started()], added(1), added(2), fetched(2, 1)]);
    let store = Store::open(&dir.path().join("views")).unwrap();
    let (jobs, view) = Jobs::open(&store).unwrap();
    let mut earlier = Earlier { jobs, unknown: Seq(3) };
    follow::catch_up(&mut earlier, &reader).unwrap();
    let shown: Vec<_> = view.all().unwrap().value.iter().map(|job| job.head.job.0).collect();
    assert_eq!((view.position().position(), shown), (reader.durable(), vec![2]));

    let letters = earlier.letters();
    let at = reader.get(Seq(3)).unwrap().unwrap().at;
    let letter = DeadLetter { seq: Seq(3), at, reason: WORDS.into(), acknowledged: false };
    assert_eq!(letters.list(Seq(0), 9).unwrap(), std::slice::from_ref(&letter));
    assert_eq!(letters.list(Seq(3), 9).unwrap(), []);
    assert_eq!(letters.unacknowledged().unwrap(), 1);

    assert!(letters.has(Seq(3)).unwrap() && !letters.has(Seq(4)).unwrap());

    // What is skipped for another view, or is no dead letter, is none the less.
    let skip = |view: &str, event| {
        vec![asked(Command::SkipDeadLetter { view: view.to_owned(), event: Seq(event) })]
    };
    append(&mut log, &[skip("trace", 3), skip("jobs", 4)]);
    follow::catch_up(&mut earlier, &reader).unwrap();
    assert_eq!(letters.list(Seq(0), 9).unwrap(), std::slice::from_ref(&letter));
    append(&mut log, &[skip("jobs", 3)]);
    follow::catch_up(&mut earlier, &reader).unwrap();
    assert_eq!(letters.unacknowledged().unwrap(), 0);
    // The log says so, and so it stays whatever is folded anew.
    follow::rebuild(&mut earlier, &reader).unwrap();
    let seen = DeadLetter { acknowledged: true, ..letter };
    assert_eq!(letters.list(Seq(0), 9).unwrap(), std::slice::from_ref(&seen));
    earlier.reset(reader.identity()).unwrap();
    follow::catch_up(&mut earlier, &reader).unwrap();
    assert_eq!(letters.list(Seq(0), 9).unwrap(), [seen]);

    // A program that knows the type is asked to try again; the difference is what it is for.
    let Earlier { mut jobs, .. } = earlier;
    follow::rebuild(&mut jobs, &reader).unwrap();
    assert_eq!(letters.list(Seq(0), 9).unwrap(), []);
    assert_eq!(view.all().unwrap().value.len(), 2);
}

#[test]
fn a_trace_shows_nothing_that_this_program_does_not_understand() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
    append(&mut log, &[added(1), vec![asked(Command::AddJob { release: RELEASE })]]);
    let store = Store::open(&dir.path().join("views")).unwrap();
    let (mut trace, view) = Trace::open(&store, reader.clone()).unwrap();
    trace.reset(reader.identity()).unwrap();
    let all: Vec<_> = reader.records(Seq(1)..=Seq(9)).collect::<Result<_, _>>().unwrap();
    // The cause of what is decided about the job.
    trace.apply(&with_unknown(&all, Seq(1))).unwrap();
    let shown = view.events(key(1, 0).job, Seq(0), 9).unwrap();
    let seqs: Vec<_> = shown.value.iter().map(|envelope| envelope.seq.0).collect();
    assert_eq!((shown.seq, seqs), (Seq(4), vec![2, 3]));
}

#[test]
fn an_event_whose_bytes_are_no_event_is_set_aside_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
    append(&mut log, &[added(1)]);
    let store = Store::open(&dir.path().join("views")).unwrap();
    let (mut jobs, _) = Jobs::open(&store).unwrap();
    jobs.reset(reader.identity()).unwrap();
    let mut all: Vec<_> = reader.records(Seq(1)..=Seq(9)).collect::<Result<_, _>>().unwrap();
    all[1].payload.clear();
    jobs.apply(&all).unwrap();
    let letters = jobs.letters().list(Seq(0), 9).unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].reason.starts_with("not an event"), "{letters:?}");
}
