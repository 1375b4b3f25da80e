//! Folding anew beside the rows that answer: the old rows answer until the new ones take over, and a
//! process that dies at any moment leaves the one or the other in service, never a mixture.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::{Seq, Timestamp};
use eventlog::{Log, Reader, Record};
use projections::follow::{self, FollowError};
use projections::jobs::{JobView, Jobs, View};
use projections::table::Table;
use projections::{ApplyError, AsOf, Control, Follower, Projection, State, Status, Store};
use proptest::prelude::*;

use crate::history::{added, append, fetched, generated, started};

pub const THIS: u32 = Jobs::VERSION;
const NEXT: u32 = THIS + 1;
const LONG: Duration = Duration::from_secs(60);

/// The jobs as another version of the program folds them, which can read rows of versions from `SINCE`
/// on and takes every event for `later` than it was. It dies after a number of commits.
pub struct Other<const VERSION: u32, const SINCE: u32> {
    jobs: Jobs,
    later: u64,
    commit: usize,
    commits_left: Arc<AtomicUsize>,
}

impl<const VERSION: u32, const SINCE: u32> Other<VERSION, SINCE> {
    fn new(jobs: Jobs, later: u64) -> Self {
        Self::mortal(jobs, later, 512, usize::MAX)
    }

    pub fn mortal(jobs: Jobs, later: u64, commit: usize, commits: usize) -> Self {
        Self { jobs, later, commit, commits_left: Arc::new(AtomicUsize::new(commits)) }
    }
}

impl<const VERSION: u32, const SINCE: u32> Projection for Other<VERSION, SINCE> {
    const NAME: &'static str = Jobs::NAME;
    const VERSION: u32 = VERSION;
    const READABLE_SINCE: u32 = SINCE;

    type Rows = Table;

    fn rows(&self) -> &Table {
        self.jobs.rows()
    }

    fn over(&self, table: Table) -> Self {
        let (jobs, commits_left) = (self.jobs.over(table), Arc::clone(&self.commits_left));
        Self { jobs, later: self.later, commit: self.commit, commits_left }
    }

    fn apply(&mut self, batch: &[Record]) -> Result<(), ApplyError> {
        for some in batch.chunks(self.commit) {
            if self.commits_left.fetch_sub(1, Ordering::Relaxed) == 0 {
                return Err(ApplyError::Gap { after: Seq(0), found: Seq(0) });
            }
            let later = |record: &Record| Record {
                at: Timestamp(record.at.0 + self.later),
                ..record.clone()
            };
            self.jobs.apply(&some.iter().map(later).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

pub type Everything = BTreeMap<Seq, AsOf<Vec<JobView>>>;

/// The jobs as they are after each event.
pub fn after_each_event(dir: &Path, reader: &Reader, later: u64) -> Everything {
    let store = Store::open(dir).unwrap();
    let (jobs, view) = Jobs::open(&store).unwrap();
    let mut jobs = Other::<THIS, THIS>::new(jobs, later);
    jobs.reset(reader.identity()).unwrap();
    let mut all = BTreeMap::from([(Seq(0), view.all().unwrap())]);
    for record in reader.records(Seq(1)..=reader.durable()) {
        jobs.apply(&[record.unwrap()]).unwrap();
        let shown = view.all().unwrap();
        all.insert(shown.seq, shown);
    }
    all
}

fn version(jobs: &impl Projection) -> u32 {
    jobs.checkpoint().unwrap().unwrap().version
}

/// Rebuilds in commits of some size with a program that dies after some of them.
fn live<const VERSION: u32>(
    dir: &Path,
    reader: &Reader,
    later: u64,
    (commit, commits): (usize, usize),
) -> (u32, AsOf<Vec<JobView>>) {
    let store = Store::open(dir).unwrap();
    let (jobs, view) = Jobs::open(&store).unwrap();
    let mut jobs = Other::<VERSION, THIS>::mortal(jobs, later, commit, commits);
    let done = follow::rebuild(&mut jobs, reader);
    assert_eq!(done.is_err(), matches!(done, Err(FollowError::Apply { .. })), "{done:?}");
    (version(&jobs), view.all().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_rebuild_that_dies_anywhere_leaves_the_old_or_the_new(
        seed in any::<u64>(),
        is_of_next_version in any::<bool>(),
        lives in prop::collection::vec((1usize..40, 0usize..12), 1..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
        append(&mut log, &generated(seed, 60));
        let views = dir.path().join("views");
        live::<THIS>(&views, &reader, 0, (512, usize::MAX));
        append(&mut log, &generated(seed + 1, 20));
        let expected = BTreeMap::from([
            (THIS, after_each_event(&dir.path().join("this"), &reader, 0)),
            (NEXT, after_each_event(&dir.path().join("next"), &reader, 7)),
        ]);

        for life in lives {
            let (version, shown) = match is_of_next_version {
                true => live::<NEXT>(&views, &reader, 7, life),
                false => live::<THIS>(&views, &reader, 0, life),
            };
            prop_assert_eq!(&shown, &expected[&version][&shown.seq]);
            // Once more as the next start finds it.
            let (jobs, view) = Jobs::open(&Store::open(&views).unwrap()).unwrap();
            let version = self::version(&jobs);
            prop_assert_eq!(&view.all().unwrap(), &expected[&version][&shown.seq]);
        }
        let (found, shown) = match is_of_next_version {
            true => live::<NEXT>(&views, &reader, 7, (512, usize::MAX)),
            false => live::<THIS>(&views, &reader, 0, (512, usize::MAX)),
        };
        prop_assert_eq!(found, if is_of_next_version { NEXT } else { THIS });
        prop_assert_eq!(&shown, &expected[&found][&reader.durable()]);
    }
}

fn begun(dir: &Path) -> (Log, Reader, Store) {
    let (mut log, reader) = Log::open(&dir.join("log")).unwrap();
    append(&mut log, &[vec![started()], added(1), fetched(1, 2)]);
    (log, reader, Store::open(&dir.join("views")).unwrap())
}

fn added_at(view: &View) -> Timestamp {
    view.all().unwrap().value[0].head.added_at
}

#[test]
fn rows_of_an_earlier_version_answer_until_those_of_this_one_are_folded() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, reader, store) = begun(dir.path());
    let (mut jobs, view) = Jobs::open(&store).unwrap();
    follow::catch_up(&mut jobs, &reader).unwrap();
    let before = view.all().unwrap();

    let mut dying = Other::<NEXT, THIS>::mortal(jobs, 7, 1, 3);
    follow::catch_up(&mut dying, &reader).unwrap_err();
    assert_eq!((version(&dying), view.all().unwrap()), (THIS, before));

    let mut next = Other::<NEXT, THIS>::new(dying.jobs, 7);
    let at = added_at(&view);
    follow::catch_up(&mut next, &reader).unwrap();
    assert_eq!((version(&next), added_at(&view)), (NEXT, Timestamp(at.0 + 7)));
    assert_eq!(view.position().position(), reader.durable());
}

#[test]
fn rows_that_cannot_be_read_are_given_up_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, reader, store) = begun(dir.path());
    let (mut jobs, view) = Jobs::open(&store).unwrap();
    follow::catch_up(&mut jobs, &reader).unwrap();
    let mut dying = Other::<NEXT, NEXT>::mortal(jobs, 7, 1, 1);
    follow::catch_up(&mut dying, &reader).unwrap_err();
    assert_eq!(view.all().unwrap(), AsOf { seq: Seq(1), value: Vec::new() });
    // The way back, to a program that knows nothing of the newer one's rows.
    follow::catch_up(&mut dying.jobs, &reader).unwrap();
    assert_eq!((version(&dying), view.all().unwrap().value.len()), (THIS, 1));
}

#[test]
fn rows_that_come_out_otherwise_are_kept_out_of_service() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader, store) = begun(dir.path());
    let (mut jobs, view) = Jobs::open(&store).unwrap();
    follow::catch_up(&mut jobs, &reader).unwrap();
    let before = view.all().unwrap();
    let mut careless = Other::<THIS, THIS>::new(jobs, 7);
    let error = follow::rebuild(&mut careless, &reader).unwrap_err();
    // The first row is the node's, which says when it was started.
    let words = "view jobs was folded anew and is another one at event 6, first at key 01; \
                 the old rows were kept";
    assert_eq!(error.to_string(), words);
    assert_eq!(view.all().unwrap(), before);
    // They are gone, and nothing goes on with them.
    append(&mut log, &[added(2)]);
    follow::catch_up(&mut careless.jobs, &reader).unwrap();
    follow::rebuild(&mut careless.jobs, &reader).unwrap();
    assert_eq!(view.all().unwrap().seq, reader.durable());
}

#[test]
fn a_rebuild_is_gone_on_with_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, reader, store) = begun(dir.path());
    let (mut jobs, _) = Jobs::open(&store).unwrap();
    follow::catch_up(&mut jobs, &reader).unwrap();
    let mut dying = Other::<THIS, THIS>::mortal(jobs, 0, 1, 2);
    follow::rebuild(&mut dying, &reader).unwrap_err();
    drop((dying, store));

    let store = Store::open(&dir.path().join("views")).unwrap();
    let (jobs, _) = Jobs::open(&store).unwrap();
    // Four events are left of the six.
    let mut jobs = Other::<THIS, THIS>::mortal(jobs, 0, 1, 4);
    follow::catch_up(&mut jobs, &reader).unwrap();
    assert_eq!(jobs.commits_left.load(Ordering::Relaxed), 0, "it was not gone on with");
}

fn wait(control: &Control, until: impl Fn(&Status) -> bool) -> Status {
    let started = Instant::now();
    loop {
        let status = control.status().unwrap();
        if until(&status) {
            return status;
        }
        assert!(started.elapsed() < LONG, "{status:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_follower_says_how_it_is_doing_and_rebuilds_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader, store) = begun(dir.path());
    let (jobs, view) = Jobs::open(&store).unwrap();
    let follower = Follower::start(jobs, reader, |error| panic!("{error}")).unwrap();
    let control = follower.control();
    let status = wait(&control, |it| it.lag == 0 && it.rate_per_s > 0.0);
    assert_eq!((status.name, status.version, status.position), ("jobs", Some(THIS), Seq(6)));
    assert_eq!((status.state, status.seconds_left), (State::Following, Some(0.0)));
    assert_eq!((status.reason, status.dead_letters), (None, 0));

    let before = view.all().unwrap();
    control.rebuild();
    assert!(matches!(control.status().unwrap().state, State::Rebuilding { .. } | State::Following));
    wait(&control, |it| it.state == State::Following);
    assert_eq!(view.all().unwrap(), before);
    append(&mut log, &[added(2)]);
    assert_eq!(view.position().wait_beyond(Seq(8), LONG), Seq(9), "it goes on afterwards");
    follower.stop();
    append(&mut log, &[added(3)]);
    assert_eq!(control.status().unwrap().lag, 3);
}

#[test]
fn a_follower_whose_rebuild_comes_out_otherwise_says_so_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader, store) = begun(dir.path());
    let (mut jobs, view) = Jobs::open(&store).unwrap();
    follow::catch_up(&mut jobs, &reader).unwrap();
    let careless = Other::<THIS, THIS>::new(jobs, 7);
    let follower = Follower::start(careless, reader, |error| panic!("{error}")).unwrap();
    let control = follower.control();
    control.rebuild();
    let status = wait(&control, |it| it.reason.is_some());
    assert!(status.reason.unwrap().contains("first at key 01"));
    append(&mut log, &[added(2)]);
    assert_eq!(view.position().wait_beyond(Seq(8), LONG), Seq(9));
}

#[test]
fn a_follower_that_cannot_go_on_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, reader, store) = begun(dir.path());
    let (jobs, _) = Jobs::open(&store).unwrap();
    let dying = Other::<THIS, THIS>::mortal(jobs, 0, 1, 2);
    let follower = Follower::start(dying, reader, drop).unwrap();
    let status = wait(&follower.control(), |it| it.state == State::Stopped);
    assert_eq!((status.position, status.lag), (Seq(2), 4));
    let reason = status.reason.unwrap();
    assert!(reason.starts_with("view jobs cannot go on: event 0 does not follow"), "{reason}");
}
