//! Following: a view goes on by itself, starts anew when it has to, and stops when told.

use std::sync::mpsc;
use std::time::Duration;

use domain::Seq;
use eventlog::{Log, Record};
use projections::jobs::Jobs;
use projections::{ApplyError, Checkpoint, Follower, Projection, Store};

use crate::history::{added, append, fetched, generated, started};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_view_follows_what_is_appended() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
    append(&mut log, &[vec![started()]]);
    let store = Store::open(&dir.path().join("views")).unwrap();
    let (jobs, view) = Jobs::open(&store).unwrap();
    let (sender, heard) = mpsc::channel();
    view.position().on_change(move |seq| sender.send(seq).is_ok());
    let follower = Follower::start(jobs, reader, |error| panic!("{error}")).unwrap();
    assert_eq!(view.position().wait_beyond(Seq(0), LONG), Seq(1));
    append(&mut log, &[added(1), fetched(1, 2)]);
    while view.position().wait_beyond(Seq(5), LONG) < Seq(6) {}
    let jobs = view.all().unwrap();
    assert_eq!((jobs.seq, jobs.value.len(), jobs.value[0].tracks.len()), (Seq(6), 1, 2));
    follower.stop();
    // Stopped means stopped; the hooks were called in order.
    append(&mut log, &[added(2)]);
    assert_eq!(view.position().position(), Seq(6));
    drop((view, store));
    let heard: Vec<_> = heard.iter().collect();
    assert!(heard.contains(&Seq(6)) && heard.is_sorted(), "{heard:?}");
}

#[test]
fn a_view_of_another_log_or_ahead_of_its_log_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("views")).unwrap();
    for (name, steps) in [("one", generated(1, 200)), ("two", vec![vec![started()], added(1)])] {
        let (mut log, reader) = Log::open(&dir.path().join(name)).unwrap();
        append(&mut log, &steps);
        let (jobs, view) = Jobs::open(&store).unwrap();
        let last = reader.durable();
        let follower = Follower::start(jobs, reader.clone(), |error| panic!("{error}")).unwrap();
        while view.position().wait_beyond(Seq(last.0 - 1), LONG) != last {}
        follower.stop();
        let (jobs, _) = Jobs::open(&store).unwrap();
        let checkpoint = Checkpoint { version: Jobs::VERSION, log: log.identity(), seq: last };
        assert_eq!(jobs.checkpoint().unwrap(), Some(checkpoint));
    }
    let (_, view) = Jobs::open(&store).unwrap();
    assert_eq!(view.all().unwrap().value.len(), 1);
    // The same log, but shorter: as after a restored backup.
    let (mut log, reader) = Log::open(&dir.path().join("three")).unwrap();
    append(&mut log, &[vec![started()]]);
    let (mut jobs, view) = Jobs::open(&store).unwrap();
    jobs.reset(reader.identity()).unwrap();
    let longer: Vec<Record> = [1, 2].into_iter().map(|seq| record(&reader, seq)).collect();
    jobs.apply(&longer).unwrap();
    let follower = Follower::start(jobs, reader, |error| panic!("{error}")).unwrap();
    while view.position().position() != Seq(1) {
        let _ = view.position().wait_beyond(Seq(0), Duration::from_millis(1));
    }
    follower.stop();
    assert_eq!(view.all().unwrap().seq, Seq(1));
}

fn record(reader: &eventlog::Reader, seq: u64) -> Record {
    let first = reader.records(Seq(1)..=Seq(1)).next().unwrap().unwrap();
    Record { seq: Seq(seq), ..first }
}

#[test]
fn events_that_do_not_follow_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
    append(&mut log, &[vec![started()], added(1)]);
    let store = Store::open(&dir.path().join("views")).unwrap();
    let (mut jobs, view) = Jobs::open(&store).unwrap();
    let all: Vec<_> = reader.records(Seq(1)..=Seq(9)).collect::<Result<_, _>>().unwrap();
    assert!(matches!(jobs.apply(&all), Err(ApplyError::Gap { .. })), "it was never started");
    jobs.reset(reader.identity()).unwrap();
    assert!(matches!(
        jobs.apply(&[all[0].clone(), all[2].clone()]),
        Err(ApplyError::Gap { after: Seq(1), found: Seq(3) })
    ));
    assert_eq!(view.all().unwrap().seq, Seq(0));
    assert_eq!(view.node().unwrap().value, None);
    jobs.apply(&all).unwrap();
    assert!(jobs.apply(&all).is_err());
    assert_eq!(view.all().unwrap().seq, Seq(4));
}
