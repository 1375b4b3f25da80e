//! Logs of several volumes: whatever is sealed, being sealed or left unsealed, readers see one log.

use std::fs;
use std::path::Path;

use domain::{Seq, Timestamp};
use eventlog::{Limits, Log, OpenError, ReadError, Reader, Step};

use crate::append::{all, sized, step};

/// A volume is full after ten events.
const SMALL: Limits = Limits { volume_events: 10, volume_bytes: u64::MAX };

fn fill(dir: &Path, steps: u64) -> Vec<domain::Envelope> {
    let (mut log, reader) = Log::open_with(dir, SMALL).unwrap();
    for index in 0..steps {
        log.append(&[Step::new(Timestamp(index), &step(2))]).unwrap();
    }
    all(&reader)
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.join("volumes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.trim_start_matches('0').to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn full_volumes_are_sealed_and_read_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let before = fill(dir.path(), 12);
    assert_eq!(before.len(), 36);
    // Four steps of three events fill a volume.
    assert_eq!(files(dir.path()), ["1.vol", "13.vol", "25.sled", "25.wal"]);
    let (_log, reader) = Log::open_with(dir.path(), SMALL).unwrap();
    assert_eq!(all(&reader), before);
    let verified = reader.verify().unwrap();
    assert_eq!((verified.events, verified.blocks, verified.volumes), (36, 12, 3));
    for seq in 1..=36 {
        assert_eq!(reader.get(Seq(seq)).unwrap().unwrap(), before[seq as usize - 1]);
    }
    let picked: Vec<_> =
        reader.pick([3, 12, 13, 24, 25, 36].map(Seq)).map(Result::unwrap).collect();
    assert_eq!(picked.iter().map(|e| e.seq.0).collect::<Vec<_>>(), [3, 12, 13, 24, 25, 36]);
}

#[test]
fn a_volume_is_full_by_bytes_too_and_blocks_of_any_size_are_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { volume_events: u64::MAX, volume_bytes: 300_000 };
    let (mut log, reader) = Log::open_with(dir.path(), limits).unwrap();
    for size in [10, 200_000, 100_000, 1_000_000, 0, 0] {
        log.append(&[Step::new(Timestamp(1), &[sized(size)])]).unwrap();
    }
    let before = all(&reader);
    drop((log, reader));
    assert_eq!(files(dir.path()), ["1.vol", "4.vol", "5.sled", "5.wal"]);
    let (_log, reader) = Log::open(dir.path()).unwrap();
    assert!(all(&reader) == before);
    reader.verify().unwrap();
}

#[test]
fn readers_see_every_event_while_volumes_are_sealed_under_them() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open_with(dir.path(), SMALL).unwrap();
    let follow = |reader: Reader| {
        std::thread::spawn(move || {
            let mut seen = 0;
            while seen < 900 {
                let durable = reader.wait_beyond(Seq(seen), std::time::Duration::from_secs(60));
                // Some read all of it anew, whatever form it has by now.
                let from = if seen % 2 == 0 { seen } else { 0 };
                let mut last = from;
                for envelope in reader.range(Seq(from + 1)..=durable) {
                    last += 1;
                    assert_eq!(envelope.unwrap().seq, Seq(last));
                }
                assert_eq!(last, durable.0);
                seen = durable.0;
            }
        })
    };
    let readers = [follow(reader.clone()), follow(reader.clone())];
    for index in 0..300 {
        log.append(&[Step::new(Timestamp(index), &step(2))]).unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
    assert_eq!(reader.verify().unwrap().events, 900);
}

#[test]
fn what_a_crash_left_half_done_is_finished_or_removed() {
    let dir = tempfile::tempdir().unwrap();
    let before = fill(dir.path(), 12);
    let volumes = dir.path().join("volumes");
    // A copy that was not finished, a volume that was not begun, a store beside its sealed form, and a
    // seal that was not finished.
    fs::write(volumes.join("00000000000000000025.tmp"), b"half").unwrap();
    fs::create_dir(volumes.join("00000000000000000037.sled")).unwrap();
    fs::write(volumes.join("00000000000000000037.wal"), b"").unwrap();
    fs::create_dir(volumes.join("00000000000000000001.sled")).unwrap();
    fs::write(volumes.join("00000000000000000001.sled/db"), b"what is left").unwrap();
    let journal = volumes.join("00000000000000000025.wal");
    let bytes = fs::read(&journal).unwrap();
    let end = *crate::damage::offsets(&bytes).last().unwrap();
    fs::write(&journal, [&bytes[..end], b"a part of a tail"].concat()).unwrap();
    let (mut log, reader) = Log::open_with(dir.path(), SMALL).unwrap();
    assert_eq!(all(&reader), before);
    log.append(&[Step::new(Timestamp(99), &step(0))]).unwrap();
    drop((log, reader));
    assert_eq!(files(dir.path()), ["1.vol", "13.vol", "25.vol", "37.sled", "37.wal"]);
}

#[test]
fn a_missing_volume_is_named() {
    for (gone, named) in [("00000000000000000001.vol", 1), ("00000000000000000013.vol", 13)] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 12);
        fs::remove_file(dir.path().join("volumes").join(gone)).unwrap();
        let error = Log::open_with(dir.path(), SMALL).map(|_| ()).unwrap_err();
        let OpenError::Damaged(ReadError::Damaged { seq, .. }) = error else { panic!("{error}") };
        assert_eq!(seq, Seq(named));
    }
    // The last one is missed by the mark.
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 12);
    fs::remove_dir_all(dir.path().join("volumes/00000000000000000025.sled")).unwrap();
    fs::remove_file(dir.path().join("volumes/00000000000000000025.wal")).unwrap();
    let error = Log::open_with(dir.path(), SMALL).map(|_| ()).unwrap_err();
    let OpenError::Damaged(ReadError::Damaged { seq, .. }) = error else { panic!("{error}") };
    assert_eq!(seq, Seq(25));
}

#[test]
fn every_byte_of_a_sealed_volume_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let good = fill(dir.path(), 5);
    let path = dir.path().join("volumes/00000000000000000001.vol");
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        fs::write(&path, bad).unwrap();
        let Ok(reader) = Log::read(dir.path()) else { continue };
        let read: Vec<_> = reader.range(Seq(1)..=Seq(99)).map_while(Result::ok).collect();
        assert!(good.starts_with(&read), "byte {at}");
        assert!(reader.verify().is_err(), "byte {at} of {}", bytes.len());
    }
    for length in (0..bytes.len()).step_by(11) {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(Log::read(dir.path()).is_err(), "{length} bytes");
    }
}

#[test]
fn damage_that_was_read_ahead_is_told_where_it_is_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { volume_events: 200, volume_bytes: u64::MAX };
    let (mut log, reader) = Log::open_with(dir.path(), limits).unwrap();
    for index in 0..300 {
        log.append(&[Step::new(Timestamp(index), &step(0))]).unwrap();
    }
    drop((log, reader));
    let path = dir.path().join("volumes/00000000000000000001.vol");
    let mut bytes = fs::read(&path).unwrap();
    // Long after it is clear that somebody reads in order.
    let damaged = crate::damage::offsets(&bytes)[149];
    bytes[damaged + 100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let reader = Log::read(dir.path()).unwrap();
    let read: Vec<_> = reader.range(Seq(1)..=Seq(300)).collect();
    assert_eq!(read.len(), 150);
    let Some((Err(ReadError::Damaged { seq, .. }), before)) = read.split_last() else { panic!() };
    assert_eq!(*seq, Seq(150));
    assert!(before.iter().all(Result::is_ok));
    assert_eq!(reader.range(Seq(151)..=Seq(300)).filter(Result::is_ok).count(), 150);
}
