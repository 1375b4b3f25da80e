//! Whatever happens to the stored bytes, the log says where, and never gives wrong events.

use std::error::Error;
use std::path::Path;

use domain::{Envelope, Seq, Timestamp};
use eventlog::{Damage, Log, OpenError, ReadError, Step, Verified};

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

fn raw<T>(dir: &Path, change: impl FnOnce(&sled::Tree) -> T) -> T {
    change(&raw_db(dir).open_tree("blocks").unwrap())
}

fn raw_db(dir: &Path) -> sled::Db {
    let store = dir.join("volumes/00000000000000000001.sled");
    let config = sled::Config::new().path(store).segment_size(4 << 20);
    // sled's threads hold its lock a moment longer than its last handle lives.
    let mut tries =
        std::iter::repeat_with(|| config.open().inspect_err(|_| std::thread::yield_now()));
    tries.by_ref().take(1_000_000).find_map(Result::ok).expect("the log is still open")
}

type Examined = Result<(Vec<Envelope>, Verified), (Option<Vec<Envelope>>, ReadError)>;

/// What a full read and a full check say of the log.
fn examine(dir: &Path) -> Examined {
    let (log, reader) = match Log::open(dir) {
        Ok(open) => open,
        Err(OpenError::Damaged(error)) => return Err((None, error)),
        Err(error) => panic!("{error}: {:?}", error.source()),
    };
    let mut read = Vec::new();
    let mut failed = None;
    for envelope in reader.range(Seq(1)..=Seq(u64::MAX)) {
        match envelope {
            Ok(envelope) => read.push(envelope),
            Err(error) => failed = Some(error),
        }
    }
    drop(log);
    match (reader.verify(), failed) {
        (Ok(verified), None) => Ok((read, verified)),
        (Err(error), failed) => {
            if let Some(failed) = failed {
                assert_eq!(failed.to_string(), error.to_string());
            }
            Err((Some(read), error))
        }
        (Ok(_), Some(failed)) => panic!("verify missed: {failed}"),
    }
}

fn seq_of(error: &ReadError) -> Seq {
    match error {
        ReadError::Damaged { seq, .. } => *seq,
        error => panic!("{error}"),
    }
}

#[test]
fn every_flipped_byte_is_named_and_nothing_wrong_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let good = fill(dir.path());
    let values: Vec<_> = raw(dir.path(), |tree| tree.iter().map(Result::unwrap).collect());
    assert_eq!(values.len(), 7);
    let lasts = [3, 6, 7, 10, 13];
    for (key, value) in &values {
        let first = u64::from_be_bytes(key[..8].try_into().unwrap());
        let last = lasts.into_iter().find(|last| *last >= first).unwrap();
        // Every byte of small values, some of large ones: each costs two openings of the store.
        let stride = if value.len() > 2000 { value.len() / 9 } else { 23 };
        for at in (0..value.len()).step_by(stride).chain([value.len() - 1]) {
            let mut bad = value.to_vec();
            bad[at] ^= 0x20;
            raw(dir.path(), |tree| tree.insert(key, bad).unwrap());
            let (read, error) = examine(dir.path()).unwrap_err();
            // A wrong hash shows at the block itself or, for its last, when opening.
            let named = seq_of(&error).0;
            assert!((first..=last + 1).contains(&named), "byte {at} of {first}: {error}");
            if let Some(read) = read {
                assert!(good.starts_with(&read), "byte {at} of {first}");
                assert!(read.len() as u64 <= last, "byte {at} of {first}");
            }
        }
        raw(dir.path(), |tree| tree.insert(key, value).unwrap());
    }
    assert_eq!(examine(dir.path()).unwrap().0, good);
}

#[test]
fn a_missing_value_is_a_gap_and_not_an_end() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let values: Vec<_> = raw(dir.path(), |tree| tree.iter().map(Result::unwrap).collect());
    // The very last block is left out: without it the log is a shorter one that is whole.
    for (key, value) in &values[..values.len() - 1] {
        raw(dir.path(), |tree| tree.remove(key).unwrap());
        let (_, error) = examine(dir.path()).unwrap_err();
        let first = Seq(u64::from_be_bytes(key[..8].try_into().unwrap()));
        assert_eq!(seq_of(&error), first, "{error}");
        raw(dir.path(), |tree| tree.insert(key, value).unwrap());
    }
}

#[test]
fn a_block_of_another_log_does_not_fit() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(dir.path());
    fill(other.path());
    for (index, blamed) in [(0, 4), (1, 4), (6, 11)] {
        let (key, own) = raw(dir.path(), |tree| tree.iter().nth(index).unwrap().unwrap());
        let foreign = raw(other.path(), |tree| tree.get(&key).unwrap().unwrap());
        raw(dir.path(), |tree| tree.insert(&key, foreign).unwrap());
        let (_, error) = examine(dir.path()).unwrap_err();
        let chain = matches!(error, ReadError::Damaged { damage: Damage::Chain, .. });
        assert!(chain, "{error}");
        assert!(seq_of(&error).0 <= blamed, "{error}");
        raw(dir.path(), |tree| tree.insert(&key, own).unwrap());
    }
}

#[test]
fn a_key_that_is_not_ours_is_named() {
    for key in [&b"x"[..], &[0; 10], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 9], &[0xff; 11]] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        raw(dir.path(), |tree| tree.insert(key, b"?").unwrap());
        let (log, error) = match Log::open(dir.path()) {
            Ok((log, reader)) => (Some(log), reader.verify().unwrap_err()),
            Err(OpenError::Damaged(error)) => (None, error),
            Err(error) => panic!("{error}"),
        };
        assert!(matches!(error, ReadError::Damaged { .. }), "{key:?} {error}");
        drop(log);
    }
}

#[test]
fn a_log_without_its_identity_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let db = raw_db(dir.path());
    let meta = db.open_tree("meta").unwrap();
    let identity = meta.remove("volume").unwrap().unwrap();
    drop((db, meta));
    assert!(matches!(Log::open(dir.path()), Err(OpenError::NoIdentity)));
    let db = raw_db(dir.path());
    let mut newer = identity.to_vec();
    newer[8] = 9;
    db.open_tree("meta").unwrap().insert("volume", newer).unwrap();
    drop(db);
    assert!(matches!(Log::open(dir.path()), Err(OpenError::Version(9))));
}
