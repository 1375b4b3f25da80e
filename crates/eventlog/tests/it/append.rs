//! Appending, reading back and reopening, one promise a test.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use domain::{Command, Decision, Event, Input, JobId, Observation, PeerId, ReleaseId};
use domain::{Envelope, Seq, Timestamp};
use eventlog::{AppendError, Log, OpenError, Step};

/// An input that takes about `size` bytes.
pub fn sized(size: usize) -> Event {
    Event::Input(Input::Observation(Observation::UploadEnded {
        peer: PeerId::Soulseek("ada".into()),
        path: "x".repeat(size),
        sent_bytes: 1,
        complete: true,
    }))
}

/// A step of one command and `decisions` decisions.
pub fn step(decisions: u32) -> Vec<Event> {
    let release = ReleaseId([1; 16]);
    let mut events = vec![Event::Input(Input::Command(Command::AddJob { release }))];
    events.extend(
        (0..decisions).map(|job| Event::Decision(Decision::JobAdded { job: JobId(job), release })),
    );
    events
}

pub fn all(reader: &eventlog::Reader) -> Vec<Envelope> {
    reader.range(Seq(0)..=Seq(u64::MAX)).collect::<Result<_, _>>().unwrap()
}

#[test]
fn steps_get_dense_positions_and_their_input_as_cause() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    let (first, second) = (step(2), step(0));
    let seqs =
        log.append(&[Step::new(Timestamp(10), &first), Step::new(Timestamp(20), &second)]).unwrap();
    assert_eq!(seqs, Seq(1)..Seq(5));
    assert_eq!(log.append(&[Step::new(Timestamp(30), &second)]).unwrap(), Seq(5)..Seq(6));
    assert_eq!(log.append(&[]).unwrap(), Seq(6)..Seq(6));
    let seen: Vec<_> = all(&reader).iter().map(|e| (e.seq.0, e.at.0, e.cause.0)).collect();
    assert_eq!(seen, [(1, 10, 1), (2, 10, 1), (3, 10, 1), (4, 20, 4), (5, 30, 5)]);
    assert_eq!(reader.get(Seq(2)).unwrap().unwrap().event, first[1]);
    assert_eq!(reader.get(Seq(0)).unwrap(), None);
    assert_eq!(reader.get(Seq(6)).unwrap(), None);
}

#[test]
fn a_reopened_log_goes_on_where_it_ended_and_keeps_its_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    assert_eq!(reader.verify().unwrap().events, 0);
    log.append(&[Step::new(Timestamp(1), &step(4))]).unwrap();
    let (identity, before, verified) = (log.identity(), all(&reader), reader.verify().unwrap());
    drop((log, reader));
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    assert_eq!((log.identity(), reader.identity()), (identity, identity));
    assert_eq!((all(&reader), reader.verify().unwrap()), (before, verified));
    assert_eq!(log.append(&[Step::new(Timestamp(2), &step(0))]).unwrap().start, Seq(6));
    assert_eq!(reader.verify().unwrap().blocks, 2);
}

#[test]
fn two_logs_have_two_identities() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, two) = (Log::open(one.path()).unwrap().0, Log::open(two.path()).unwrap().0);
    assert_ne!(one.identity(), two.identity());
}

#[test]
fn a_log_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _open = Log::open(dir.path()).unwrap();
    assert!(matches!(Log::open(dir.path()), Err(OpenError::InUse)));
}

/// The names in a folder and below it.
fn names(dir: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(self::names(&path));
        }
        names.push(path);
    }
    names.sort();
    names
}

#[test]
fn a_log_that_is_only_read_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    assert!(matches!(Log::read(&log), Err(OpenError::NotALog)));
    assert!(!log.exists());
    // Whatever else is there stays as it is: nothing, a file by the right name, another program's store.
    std::fs::create_dir(&log).unwrap();
    assert!(matches!(Log::read(&log), Err(OpenError::NotALog)));
    assert_eq!(names(&log), Vec::<PathBuf>::new());
    std::fs::write(log.join("db"), "something").unwrap();
    assert!(matches!(Log::read(&log), Err(OpenError::NotALog)));
    assert_eq!(names(&log), [log.join("db")]);
    // The folder of the first format, which was one store.
    let other = dir.path().join("other");
    sled::Config::new().path(&other).segment_size(4 << 20).open().unwrap().flush().unwrap();
    assert!(matches!(Log::read(&other), Err(OpenError::Version(1))));
    assert!(matches!(Log::open(&other), Err(OpenError::Version(1))));
    assert!(!other.join("mark").exists());
}

#[test]
fn a_log_that_is_only_read_is_whole_in_use_meanwhile_and_left_with_the_files_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    log.append(&[Step::new(Timestamp(1), &step(4))]).unwrap();
    let before = all(&reader);
    assert!(matches!(Log::read(dir.path()), Err(OpenError::InUse)));
    drop((log, reader));
    // As a copy may be.
    for name in ["lock", "mark"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    let reader = Log::read(dir.path()).unwrap();
    assert_eq!(all(&reader), before);
    assert_eq!(all(&Log::read(dir.path()).unwrap()), before);
    for name in ["lock", "mark"] {
        assert!(!dir.path().join(name).exists(), "{name} was made");
    }
    drop(reader);
    assert_eq!(all(&Log::open(dir.path()).unwrap().1), before);
    // Many may read at once, and nobody writes meanwhile.
    let readers = [Log::read(dir.path()).unwrap(), Log::read(dir.path()).unwrap()];
    assert!(readers.iter().all(|reader| all(reader) == before));
    assert!(matches!(Log::open(dir.path()), Err(OpenError::InUse)));
}

#[test]
fn a_log_that_lost_its_store_is_damaged_and_not_taken_for_none() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    log.append(&[Step::new(Timestamp(1), &step(4))]).unwrap();
    drop((log, reader));
    std::fs::remove_dir_all(dir.path().join("volumes")).unwrap();
    assert!(matches!(Log::read(dir.path()), Err(OpenError::Damaged(_))));
    assert!(matches!(Log::open(dir.path()), Err(OpenError::Damaged(_))));
}

#[test]
fn a_batch_beyond_one_block_is_still_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    let big = [sized(7 << 20)];
    let steps = vec![Step::new(Timestamp(1), &big); 5];
    assert_eq!(log.append(&steps).unwrap(), Seq(1)..Seq(6));
    assert_eq!(reader.verify().unwrap().blocks, 5);
    let before = all(&reader);
    drop((log, reader));
    let (_log, reader) = Log::open(dir.path()).unwrap();
    assert!(all(&reader) == before, "35 MiB did not read back");
}

#[test]
fn a_failed_append_is_the_last_one() {
    for (events, shape) in
        [(vec![], true), (step(1).split_off(1), true), (vec![sized(16 << 20)], false)]
    {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, reader) = Log::open(dir.path()).unwrap();
        let good = step(1);
        log.append(&[Step::new(Timestamp(1), &good)]).unwrap();
        let steps = [Step::new(Timestamp(2), &good), Step::new(Timestamp(2), &events)];
        let error = log.append(&steps).unwrap_err();
        assert_eq!(matches!(error, AppendError::Shape { index: 1 }), shape, "{error}");
        let error = log.append(&[Step::new(Timestamp(3), &good)]).unwrap_err();
        assert!(matches!(error, AppendError::Stopped));
        assert_eq!(reader.durable(), Seq(2));
        drop((log, reader));
        let (mut log, _reader) = Log::open(dir.path()).unwrap();
        assert_eq!(log.append(&[Step::new(Timestamp(4), &good)]).unwrap().start, Seq(3));
    }
}

#[test]
fn readers_are_woken_when_events_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    let (sender, heard) = mpsc::channel();
    log.on_durable(move |seq| sender.send(seq).is_ok());
    let waiting = reader.clone();
    let waiter = std::thread::spawn(move || {
        let seq = waiting.wait_beyond(Seq(0), Duration::from_secs(60));
        waiting.get(seq).unwrap().unwrap().seq
    });
    log.append(&[Step::new(Timestamp(1), &step(1))]).unwrap();
    assert_eq!(waiter.join().unwrap(), Seq(2));
    assert_eq!(heard.recv().unwrap(), Seq(2));
}

#[test]
fn chosen_positions_are_read_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    for _ in 0..10 {
        log.append(&[Step::new(Timestamp(1), &step(2))]).unwrap();
    }
    let wanted = [0, 2, 3, 4, 17, 30, 31, 99].map(Seq);
    let picked: Vec<_> = reader.pick(wanted).map(|envelope| envelope.unwrap().seq.0).collect();
    assert_eq!(picked, [2, 3, 4, 17, 30]);
}

#[test]
fn a_reader_beside_the_writer_sees_every_event_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    let tail = std::thread::spawn(move || {
        let mut seen = Seq(0);
        while seen < Seq(400) {
            let durable = reader.wait_beyond(seen, Duration::from_secs(60));
            for envelope in reader.range(Seq(seen.0 + 1)..=durable) {
                let envelope = envelope.unwrap();
                assert_eq!(envelope.seq.0, seen.0 + 1);
                seen = envelope.seq;
            }
            // A walk in the middle of appends ends where it began to be durable.
            assert!(reader.verify().unwrap().events >= seen.0);
        }
    });
    for _ in 0..200 {
        log.append(&[Step::new(Timestamp(1), &step(1))]).unwrap();
    }
    tail.join().unwrap();
}
