//! Copies taken while the log is written, put back, and histories made into logs.

use std::fs;

use domain::{Seq, Timestamp};
use eventlog::backup::{BackupError, backup, restore};
use eventlog::history::{Header, HistoryReader, write_history};
use eventlog::import::{ImportError, import};
use eventlog::{CommandId, Limits, Log, Step};

use crate::append::{all, sized, step};

const SMALL: Limits = Limits { volume_events: 50, volume_bytes: u64::MAX };

#[test]
fn a_copy_taken_beside_the_writer_is_whole_and_can_be_put_back() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut log, reader) = Log::open_with(dir.path(), SMALL).unwrap();
    for index in 0..40 {
        log.append(&[Step::new(Timestamp(index), &step(2))]).unwrap();
    }
    let (copying, at) = (reader.clone(), to.path().join("copy"));
    let copied = std::thread::spawn(move || backup(&copying, &at).unwrap());
    for index in 40..400 {
        let command = Some(CommandId(index.into()));
        log.append(&[Step { command, ..Step::new(Timestamp(index), &step(2)) }]).unwrap();
    }
    let last = copied.join().unwrap();
    assert!((Seq(120)..=Seq(1200)).contains(&last), "{last}");
    let copy = Log::read(&to.path().join("copy")).unwrap();
    assert_eq!(copy.durable(), last);
    assert_eq!(copy.identity(), reader.identity());
    let original: Vec<_> = reader.records(Seq(1)..=last).map(Result::unwrap).collect();
    assert_eq!(copy.records(Seq(1)..=last).map(Result::unwrap).collect::<Vec<_>>(), original);
    assert_eq!(copy.verify().unwrap().events, last.0);

    // It is a log again, and goes on with the revisions and commands that the first one had.
    assert_eq!(restore(&to.path().join("copy"), &to.path().join("again")).unwrap(), last);
    let (mut again, read) = Log::open_with(&to.path().join("again"), SMALL).unwrap();
    assert_eq!(read.records(Seq(1)..=last).map(Result::unwrap).collect::<Vec<_>>(), original);
    let command = Some(CommandId(40));
    let twice = again.append(&[Step { command, ..Step::new(Timestamp(9), &step(2)) }]);
    assert_eq!(twice.is_err(), last >= Seq(123));
    again.append(&[Step::new(Timestamp(9), &step(0))]).unwrap();
    read.verify().unwrap();
}

#[test]
fn a_copy_that_is_not_whole_is_none() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut log, reader) = Log::open_with(dir.path(), SMALL).unwrap();
    for index in 0..60 {
        log.append(&[Step::new(Timestamp(index), &[sized(100)])]).unwrap();
    }
    let copy = to.path().join("copy");
    backup(&reader, &copy).unwrap();
    assert!(matches!(backup(&reader, &copy), Err(BackupError::NotEmpty(_))));
    let mark = fs::read(copy.join("mark")).unwrap();
    fs::remove_file(copy.join("mark")).unwrap();
    assert!(restore(&copy, &to.path().join("again")).is_err());
    fs::write(copy.join("mark"), mark).unwrap();
    let volume = copy.join("volumes/00000000000000000051.vol");
    let mut bytes = fs::read(&volume).unwrap();
    bytes[200] ^= 1;
    fs::write(&volume, &bytes).unwrap();
    assert!(restore(&copy, &to.path().join("again")).is_err());
    fs::remove_file(&volume).unwrap();
    assert!(Log::read(&copy).is_err());
    assert!(Log::read(&to.path().join("nothing")).is_err());
}

#[test]
fn a_history_becomes_a_log_up_to_its_first_hole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(&dir.path().join("one")).unwrap();
    for index in 0..300 {
        let (digest, command) = (Some(index * 7), Some(CommandId(index.into())));
        log.append(&[Step { digest, command, ..Step::new(Timestamp(index), &step(2)) }]).unwrap();
    }
    let header = Header::default();
    let mut file = Vec::new();
    write_history(&mut file, &header, reader.records(Seq(1)..=Seq(900))).unwrap();
    let records = || HistoryReader::new(&file[..]).unwrap().records();

    let imported = import(&dir.path().join("two"), records()).unwrap();
    assert_eq!((imported.last, imported.hole), (Seq(900), None));
    let (_log, two) = Log::open(&dir.path().join("two")).unwrap();
    assert_eq!(all(&two), all(&reader));
    let same = two.records(Seq(1)..=Seq(900)).zip(reader.records(Seq(1)..=Seq(900)));
    assert!(same.into_iter().all(|(two, one)| two.unwrap() == one.unwrap()));
    drop(two);
    drop(_log);
    let again = import(&dir.path().join("two"), records());
    assert!(matches!(again, Err(ImportError::NotEmpty)));

    let holed = records().filter(|record| record.as_ref().is_ok_and(|it| it.seq != Seq(500)));
    let imported = import(&dir.path().join("three"), holed).unwrap();
    // The step that the hole is in is left out whole.
    assert_eq!((imported.last, imported.hole), (Seq(498), Some(Seq(500))));
}

#[test]
fn what_a_log_consists_of_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open_with(dir.path(), SMALL).unwrap();
    for index in 0..30 {
        let digest = Some(1).filter(|_| index % 2 == 0);
        log.append(&[Step { digest, ..Step::new(Timestamp(index), &step(2)) }]).unwrap();
    }
    let stats = reader.stats().unwrap();
    assert_eq!((stats.last, stats.digests), (Seq(90), 15));
    assert_eq!(stats.times, Some((Timestamp(0), Timestamp(29))));
    let counts: Vec<_> = stats
        .by_schema
        .iter()
        .map(|(schema, count)| (schema.name().unwrap(), count.events, count.bytes))
        .collect();
    assert_eq!(counts, [("Command::AddJob", 30, 480), ("Decision::JobAdded", 60, 1200)]);
    assert_eq!(stats.by_stream.values().map(|count| count.events).sum::<u64>(), 90);
    assert_eq!(stats.volumes.len(), 2);
    assert!(stats.volumes.iter().all(|volume| volume.bytes > 1000));
}
