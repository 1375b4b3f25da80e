//! Whatever happens to the stored bytes, the log says where, and never gives wrong events. What happens
//! to the store alone is mended from the journal.

use std::fs;
use std::path::{Path, PathBuf};

use domain::{Envelope, Seq, Timestamp};
use eventlog::{Damage, Log, OpenError, ReadError, Reader, Step};

use crate::append::{all, sized, step};

/// Five blocks of events 1-3, 4-6, 7 (three values), 8-10, 11-13.
fn fill(dir: &Path) -> Vec<Envelope> {
    let (mut log, reader) = Log::open(dir).unwrap();
    for index in 0..5 {
        let events = if index == 2 { vec![sized(100_000)] } else { step(2) };
        log.append(&[Step::new(Timestamp(index), &events)]).unwrap();
    }
    all(&reader)
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("volumes/00000000000000000001.wal")
}

/// Where the blocks of a journal begin, and where the last one ends.
pub fn offsets(journal: &[u8]) -> Vec<usize> {
    let mut offsets = vec![72];
    while &journal[*offsets.last().unwrap()..][..4] == b"RBLK" {
        let at = *offsets.last().unwrap();
        let length = u32::from_le_bytes(journal[at + 8..at + 12].try_into().unwrap());
        offsets.push(at + length as usize);
    }
    offsets
}

fn change_store<T>(dir: &Path, change: impl FnOnce(&sled::Tree) -> T) -> T {
    let store = dir.join("volumes/00000000000000000001.sled");
    let config = sled::Config::new().path(store).segment_size(4 << 20);
    // sled's threads hold its lock a moment longer than its last handle lives.
    let mut tries =
        std::iter::repeat_with(|| config.open().inspect_err(|_| std::thread::yield_now()));
    let db = tries.by_ref().take(1_000_000).find_map(Result::ok).expect("the log is still open");
    change(&db.open_tree("blocks").unwrap())
}

/// The error of a log that is damaged, where it was opened to be read or to be written.
fn error_of<T>(opened: Result<T, OpenError>) -> Option<ReadError> {
    match opened {
        Ok(_) => None,
        Err(OpenError::Damaged(error)) => Some(error),
        Err(error) => panic!("{error}"),
    }
}

fn seq_of(error: &ReadError) -> Seq {
    match error {
        ReadError::Damaged { seq, .. } => *seq,
        error => panic!("{error}"),
    }
}

#[test]
fn every_flipped_byte_of_the_journal_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let good = fs::read(journal(dir.path())).unwrap();
    let offsets = offsets(&good);
    let firsts = [1, 4, 7, 8, 11];
    // Every byte of small blocks, some of the large one.
    let spots =
        (72..offsets[2]).chain((offsets[2]..offsets[3]).step_by(997)).chain(offsets[3]..offsets[5]);
    for at in spots {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        fs::write(journal(dir.path()), &bad).unwrap();
        let block = offsets.iter().rposition(|offset| *offset <= at).unwrap();
        let read = error_of(Log::read(dir.path())).unwrap_or_else(|| panic!("byte {at}"));
        assert_eq!(seq_of(&read), Seq(firsts[block]), "byte {at}: {read}");
    }
    // The writer is as careful, and touches nothing.
    for at in [80, offsets[2] + 9, offsets[4] + 100] {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        fs::write(journal(dir.path()), &bad).unwrap();
        assert!(error_of(Log::open(dir.path())).is_some(), "byte {at}");
    }
    for at in 0..72 {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        fs::write(journal(dir.path()), &bad).unwrap();
        let error = error_of(Log::read(dir.path())).unwrap_or_else(|| panic!("byte {at}"));
        assert!(matches!(error, ReadError::Volume { .. }), "byte {at}: {error}");
    }
    fs::write(journal(dir.path()), &good).unwrap();
    assert!(Log::open(dir.path()).is_ok());
}

#[test]
fn a_damaged_log_is_refused_before_anything_of_it_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let good = fill(dir.path());
    let whole = fs::read(journal(dir.path())).unwrap();
    let offsets = offsets(&whole);
    // In the last block it looks like a torn end, and in the header like a journal that was never begun.
    for at in [offsets[4] + 90, 20] {
        let mut bad = whole.clone();
        bad[at] ^= 4;
        if at == 20 {
            bad.truncate(offsets[1] - 1);
        }
        fs::write(journal(dir.path()), &bad).unwrap();
        assert!(error_of(Log::open(dir.path())).is_some());
        assert_eq!(fs::read(journal(dir.path())).unwrap(), bad);
        let values = change_store(dir.path(), |tree| tree.iter().count());
        assert_eq!(values, 7, "the store has what the journal lost");
    }
    fs::write(journal(dir.path()), &whole).unwrap();
    mended(dir.path(), &good);
    // A volume that was begun and never got its store.
    fs::remove_dir_all(dir.path().join("volumes/00000000000000000001.sled")).unwrap();
    mended(dir.path(), &good);
}

#[test]
fn a_journal_that_ends_early_is_missed_by_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let good = fs::read(journal(dir.path())).unwrap();
    let offsets = offsets(&good);
    for length in (0..offsets[5]).step_by(1009).chain(offsets.iter().copied().take(5)) {
        fs::write(journal(dir.path()), &good[..length]).unwrap();
        assert!(error_of(Log::read(dir.path())).is_some(), "{length} bytes");
    }
}

#[test]
fn an_append_that_was_never_acknowledged_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let before = fill(dir.path());
    let good = fs::read(journal(dir.path())).unwrap();
    let offsets = offsets(&good);
    let mark = fs::read(dir.path().join("mark")).unwrap();
    // One more commit, of two blocks, of which some bytes were written when the power went.
    {
        let (mut log, _reader) = Log::open(dir.path()).unwrap();
        let (one, two) = ([sized(47_000)], [sized(30_000)]);
        log.append(&[Step::new(Timestamp(9), &one), Step::new(Timestamp(9), &two)]).unwrap();
    }
    let whole = fs::read(journal(dir.path())).unwrap();
    let end = self::offsets(&whole)[7];
    let second = self::offsets(&whole)[6];
    for torn in [offsets[5] + 1, offsets[5] + 200, second, second + 30, end - 1] {
        let mut bytes = whole.clone();
        bytes[torn..].fill(0);
        fs::write(journal(dir.path()), &bytes).unwrap();
        fs::write(dir.path().join("mark"), &mark).unwrap();
        assert_eq!(all(&Log::read(dir.path()).unwrap()), before, "torn at {torn}");
        let (mut log, reader) = Log::open(dir.path()).unwrap();
        assert_eq!(all(&reader), before, "torn at {torn}");
        log.append(&[Step::new(Timestamp(9), &step(0))]).unwrap();
        assert_eq!(reader.verify().unwrap().events, before.len() as u64 + 1);
    }
    // The first block lost and the second there: it is of the same commit, so it proves nothing.
    let mut bytes = whole.clone();
    bytes[offsets[5]..second].fill(0);
    fs::write(journal(dir.path()), &bytes).unwrap();
    fs::write(dir.path().join("mark"), &mark).unwrap();
    assert_eq!(all(&Log::read(dir.path()).unwrap()), before);
    // A block of a later commit does, whatever the mark says.
    let mut bytes = whole;
    bytes[offsets[3]..offsets[3] + 60].fill(0);
    fs::write(journal(dir.path()), &bytes).unwrap();
    fs::remove_file(dir.path().join("mark")).unwrap();
    assert_eq!(seq_of(&error_of(Log::read(dir.path())).unwrap()), Seq(8));
}

#[test]
fn a_journal_of_another_log_does_not_fit() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(dir.path());
    fill(other.path());
    let (mut own, foreign) =
        (fs::read(journal(dir.path())).unwrap(), fs::read(journal(other.path())).unwrap());
    let offsets = offsets(&own);
    own[offsets[1]..offsets[2]].copy_from_slice(&foreign[offsets[1]..offsets[2]]);
    fs::write(journal(dir.path()), own).unwrap();
    let error = error_of(Log::read(dir.path())).unwrap();
    assert!(matches!(error, ReadError::Damaged { damage: Damage::Chain, seq: Seq(4) }), "{error}");
    fs::write(journal(dir.path()), foreign).unwrap();
    // All of it is another log's: only its mark tells.
    assert!(error_of(Log::read(dir.path())).is_some());
}

fn mended(dir: &Path, good: &[Envelope]) -> Reader {
    let (_log, reader) = Log::open(dir).unwrap();
    assert_eq!(all(&reader), good);
    assert_eq!(reader.verify().unwrap().events, good.len() as u64);
    reader
}

#[test]
fn whatever_happens_to_the_store_is_mended_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let good = fill(dir.path());
    let values: Vec<_> = change_store(dir.path(), |tree| tree.iter().map(Result::unwrap).collect());
    assert_eq!(values.len(), 7);
    for (key, value) in &values {
        let mut bad = value.to_vec();
        bad[value.len() / 2] ^= 0x20;
        change_store(dir.path(), |tree| tree.insert(key, bad).unwrap());
        mended(dir.path(), &good);
        change_store(dir.path(), |tree| tree.remove(key).unwrap());
        mended(dir.path(), &good);
    }
    for key in [&b"x"[..], &[0; 10], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 9], &[0xff; 11]] {
        change_store(dir.path(), |tree| tree.insert(key, b"?").unwrap());
        mended(dir.path(), &good);
    }
    // A store that sled itself refuses, and none at all.
    let store = dir.path().join("volumes/00000000000000000001.sled");
    let db = store.join("db");
    let mut bytes = fs::read(&db).unwrap();
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        bytes[at] ^= 0x10;
    }
    fs::write(&db, bytes).unwrap();
    mended(dir.path(), &good);
    fs::remove_dir_all(&store).unwrap();
    mended(dir.path(), &good);
}

#[test]
fn a_log_of_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let mut bytes = fs::read(journal(dir.path())).unwrap();
    bytes[8] = 9;
    let sum = crc32fast::hash(&bytes[..68]).to_le_bytes();
    bytes[68..72].copy_from_slice(&sum);
    fs::write(journal(dir.path()), bytes).unwrap();
    let error = error_of(Log::read(dir.path())).unwrap();
    assert!(matches!(error, ReadError::Volume { damage: Damage::Version(9), .. }), "{error}");
}
