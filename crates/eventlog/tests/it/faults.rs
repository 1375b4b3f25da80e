//! Disks that refuse: the nth write, sync or read of the journal, of the store or of the mark fails, or is
//! only half done. Nothing that was not durable is acknowledged, what is acknowledged is read on, and
//! opening the log again finds all of it.

use std::path::Path;

use domain::{Envelope, Seq, Timestamp};
use eventlog::salvage::salvage;
use eventlog::{AppendError, Limits, Log, OpenError, ReadError, Reader, Step};

use crate::append::{all, sized};
use crate::disk::{Disk, Fault, Plan, Work};
use crate::model::MEMORY;

/// A volume is full after a dozen appends, so that faults meet begun and sealed ones too.
const LIMITS: Limits = Limits { volume_events: 12, volume_bytes: u64::MAX };
const APPENDS: u64 = 40;

/// Appends one event after another until the log refuses.
fn append(log: &mut Log, from: u64) -> Result<(), AppendError> {
    for at in from..APPENDS {
        log.append(&[Step::new(Timestamp(at), &[sized(3_000 + 61 * at as usize)])])?;
    }
    Ok(())
}

/// The log on this disk, once nothing fails any more; it has at least these events and goes on.
fn reopened(disk: &Disk, acknowledged: &[Envelope]) -> Vec<Envelope> {
    disk.mend();
    let (mut log, reader) = Log::open_with(&folder(disk), LIMITS).unwrap();
    let read = all(&reader);
    assert!(read.starts_with(acknowledged));
    assert!(read.len() <= acknowledged.len() + 1, "only one append was on its way");
    append(&mut log, read.len() as u64).unwrap();
    assert_eq!(reader.verify().unwrap().events, APPENDS);
    all(&reader)
}

fn folder(disk: &Disk) -> std::path::PathBuf {
    disk.path().join("log")
}

/// Writes a log while the planned fault strikes; how the writer ended, and what it had acknowledged.
fn strike(disk: &Disk, plan: Plan) -> (Option<AppendError>, Vec<Envelope>) {
    let dir = folder(disk);
    let (mut log, reader) = Log::open_with(&dir, LIMITS).unwrap();
    disk.plan(plan);
    let error = append(&mut log, 0).err();
    if error.is_some() {
        refuses_from_now_on(&mut log, &reader, &dir);
    }
    let read = all(&reader);
    // Whatever the store has come to, the journal is whole.
    assert_eq!(reader.verify().unwrap().events, read.len() as u64);
    (error, read)
}

fn refuses_from_now_on(log: &mut Log, reader: &Reader, dir: &Path) {
    let durable = reader.durable();
    let again = log.append(&[Step::new(Timestamp(0), &[sized(1)])]).unwrap_err();
    assert!(matches!(again, AppendError::Stopped), "{again}");
    assert!(matches!(log.heal(), Err(AppendError::Stopped)));
    assert_eq!(reader.durable(), durable);
    assert!(matches!(Log::read(dir), Err(OpenError::InUse)));
}

#[test]
fn a_sync_that_fails_stops_the_writer_and_its_append_is_never_acknowledged() {
    for after in 0..20 {
        let disk = Disk::mount();
        let plan = Plan { work: Work::Sync, ending: ".wal", after, fault: Fault::Refused };
        let (error, acknowledged) = strike(&disk, plan);
        assert!(disk.has_struck());
        match error {
            // The sync of an append, or of a volume that begins.
            Some(AppendError::Sync(_) | AppendError::Volume(_)) => {}
            // The sync of a volume that was being sealed, which the journal stands for.
            None => {}
            Some(error) => panic!("sync {after}: {error:?}"),
        }
        let read = reopened(&disk, &acknowledged);
        assert!(read.iter().zip(0..).all(|(envelope, at)| envelope.at == Timestamp(at)));
    }
}

#[test]
fn a_sync_of_the_store_that_fails_is_missed_by_nobody() {
    let mut struck = 0;
    for after in 0..8 {
        let disk = Disk::mount();
        let plan = Plan { work: Work::Sync, ending: "db", after, fault: Fault::Refused };
        let (error, acknowledged) = strike(&disk, plan);
        struck += u32::from(disk.has_struck());
        assert!(error.is_none(), "sync {after}: {error:?}");
        assert_eq!(acknowledged.len() as u64, APPENDS);
        assert_eq!(reopened(&disk, &acknowledged), acknowledged);
    }
    assert!(struck >= 4, "the store was struck {struck} times");
}

#[test]
fn a_write_that_fails_stops_the_writer_and_loses_nothing() {
    for ending in [".wal", "db", "mark"] {
        let mut struck = 0;
        for after in 0..20 {
            let disk = Disk::mount();
            let plan = Plan { work: Work::Write, ending, after, fault: Fault::Refused };
            let (_, acknowledged) = strike(&disk, plan);
            struck += u32::from(disk.has_struck());
            reopened(&disk, &acknowledged);
        }
        // sled writes rarely, and not within so few appends at every one of them.
        assert!(
            struck >= if ending == "db" { 3 } else { 20 },
            "{ending} was struck {struck} times"
        );
    }
}

#[test]
fn a_write_that_is_half_done_is_finished() {
    for after in 0..20 {
        let disk = Disk::mount();
        let plan = Plan { work: Work::Write, ending: ".wal", after, fault: Fault::Half };
        let (error, acknowledged) = strike(&disk, plan);
        assert!(disk.has_struck() && error.is_none(), "{error:?}");
        assert_eq!(acknowledged.len() as u64, APPENDS);
        assert_eq!(reopened(&disk, &acknowledged), acknowledged);
    }
}

#[test]
fn a_read_that_fails_is_an_error_and_the_next_one_is_none() {
    let disk = Disk::mount();
    let dir = folder(&disk);
    let (mut log, reader) = Log::open_with(&dir, LIMITS).unwrap();
    append(&mut log, 0).unwrap();
    drop((log, reader));
    let whole = all(&Log::read(&dir).unwrap());
    assert_eq!(whole.len() as u64, APPENDS);
    for fault in [Fault::Refused, Fault::Half] {
        for after in 0..20 {
            disk.plan(Plan { work: Work::Read, ending: "", after, fault });
            let read = Log::read(&dir)
                .map(|reader| reader.range(Seq(1)..=Seq(u64::MAX)).collect::<Result<Vec<_>, _>>());
            assert!(disk.has_struck());
            // Half a read goes on; what the disk refused is told, and no end is taken for it.
            if let Ok(Ok(read)) = &read {
                assert_eq!(*read, whole, "{fault:?} {after}");
            } else {
                assert_eq!(fault, Fault::Refused, "{after}");
            }
            disk.mend();
            assert_eq!(all(&Log::read(&dir).unwrap()), whole);
        }
    }
}

#[test]
fn a_store_that_cannot_be_read_is_read_around_and_verified_around() {
    let dir = tempfile::tempdir_in(MEMORY).expect("this test needs /dev/shm");
    // sled lets go of a page only where it has two for one of its 256 shards, and they are too long.
    let count = 6_000;
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    for at in 0..count {
        // Some of two values.
        let event = [sized(if at % 16 == 0 { 60_000 } else { 4_000 })];
        log.append(&[Step::new(Timestamp(at), &event)]).unwrap();
    }
    drop((log, reader));
    let (_log, reader) = Log::open(dir.path()).unwrap();
    let store = dir.path().join("volumes/00000000000000000001.sled/db");
    std::fs::File::options().write(true).open(store).unwrap().set_len(0).unwrap();
    assert_eq!(reader.verify().unwrap().events, count);
    assert_eq!(all(&reader).len() as u64, count);
}

#[test]
fn salvage_goes_on_past_what_the_disk_cannot_read_and_names_it() {
    let disk = Disk::mount();
    let dir = folder(&disk);
    let (mut log, reader) = Log::open_with(&dir, LIMITS).unwrap();
    append(&mut log, 0).unwrap();
    drop((log, reader));
    // In the middle of the second volume: one sector, of blocks that are as long as one.
    disk.spoil("13.vol", 20_480..24_576);
    let reader = Log::read(&dir).unwrap();
    let read: Vec<_> = reader.range(Seq(1)..=Seq(u64::MAX)).collect();
    assert!(matches!(read.last(), Some(Err(ReadError::Io(_)))));
    drop((read, reader));
    let salvaged = salvage(&dir, Vec::new()).unwrap();
    let [(path, bytes)] = &salvaged.unreadable[..] else { panic!("{salvaged}") };
    assert!(path.ends_with("volumes/00000000000000000013.vol"));
    assert_eq!(*bytes, 20_480..24_576);
    let lost: u64 = salvaged.holes.iter().map(|hole| hole.end().0 - hole.start().0 + 1).sum();
    assert!((1..=3).contains(&lost), "{salvaged}");
    assert_eq!(salvaged.events + lost, APPENDS);
    assert!(salvaged.to_string().contains("the disk cannot read bytes 20480 to 24575 of"));
}
