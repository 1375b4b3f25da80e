//! Damage of every kind to a log of sealed volumes and a store: never silent, never a panic, and
//! whatever the damage did not hit comes out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::{Envelope, Seq, Timestamp};
use eventlog::history::HistoryReader;
use eventlog::salvage::{End, Salvaged, salvage};
use eventlog::{Limits, Log, Record, Step};

use crate::append::{all, sized, step};

const SMALL: Limits = Limits { volume_events: 100, volume_bytes: u64::MAX };

/// Two sealed volumes and a store, with blocks of one step, of many steps and of several parts.
fn fill(dir: &Path) -> Vec<Envelope> {
    let (mut log, reader) = Log::open_with(dir, SMALL).unwrap();
    let (small, large) = (step(2), [sized(130_000)]);
    for index in 0..90 {
        let at = Timestamp(index);
        let steps = match index % 30 {
            7 => vec![Step::new(at, &large)],
            11 => vec![Step::new(at, &small); 5],
            _ => vec![Step::new(at, &small)],
        };
        log.append(&steps).unwrap();
    }
    all(&reader)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// Files that hold events.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join("volumes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { path.join("db") } else { path })
        .collect();
    files.sort();
    files
}

fn salvaged(dir: &Path) -> (Salvaged, Vec<Record>) {
    let mut out = Vec::new();
    let told = salvage(dir, &mut out).unwrap();
    let records: Vec<_> =
        HistoryReader::new(&out[..]).unwrap().records().collect::<Result<_, _>>().unwrap();
    assert_eq!(told.events, records.len() as u64);
    (told, records)
}

/// Where each block lies in the files, found without the code under test: offset and length by first
/// event, for blocks in one piece.
fn blocks(files: &[PathBuf]) -> BTreeMap<u64, (u64, Vec<u8>)> {
    let mut blocks = BTreeMap::new();
    for path in files {
        let bytes = fs::read(path).unwrap();
        for at in 0..bytes.len().saturating_sub(72) {
            if &bytes[at..at + 4] != b"RBLK" {
                continue;
            }
            let word = |o: usize| u32::from_le_bytes(bytes[at + o..at + o + 4].try_into().unwrap());
            let (length, count) = (word(8) as usize, u64::from(word(12)));
            let first = u64::from_le_bytes(bytes[at + 16..at + 24].try_into().unwrap());
            if let Some(block) = bytes.get(at..at + length).filter(|_| length < 48 * 1024) {
                blocks.insert(first, (first + count - 1, block.to_vec()));
            }
        }
    }
    blocks
}

/// What the log itself says: all events, or that something is wrong.
fn is_noticed(dir: &Path, good: &[Envelope]) -> bool {
    let Ok(reader) = Log::read(dir) else { return true };
    let read: Vec<_> = reader.range(Seq(1)..=Seq(u64::MAX)).map_while(Result::ok).collect();
    assert!(good.starts_with(&read), "wrong events were read");
    let verified = reader.verify();
    if let Ok(verified) = &verified {
        assert_eq!(verified.events, good.len() as u64, "damage was silent");
    }
    verified.is_err()
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end as u64) as usize
    }
}

/// Does one damage and says what.
fn damage(files: &[PathBuf], random: &mut Random) -> String {
    let path = &files[random.below(files.len())];
    let mut bytes = fs::read(path).unwrap();
    let at = random.below(bytes.len());
    let what = match random.below(5) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            format!("bit at {at}")
        }
        1 => {
            bytes[at] = bytes[at].wrapping_add(1 + random.below(255) as u8);
            format!("byte at {at}")
        }
        2 => {
            let start = at / 512 * 512;
            let end = (start + 512).min(bytes.len());
            bytes[start..end].fill(0);
            format!("block at {start}")
        }
        3 => {
            bytes.truncate(at);
            format!("tail from {at}")
        }
        _ => {
            fs::remove_file(path).unwrap();
            return format!("file {}", path.display());
        }
    };
    fs::write(path, bytes).unwrap();
    format!("{what} of {}", path.display())
}

#[test]
fn three_hundred_damages_are_told_and_what_they_spared_comes_out() {
    let origin = tempfile::tempdir().unwrap();
    let good = fill(origin.path());
    let spots = blocks(&files(origin.path()));
    let mut random = Random(0x5eed);
    let (mut noticed, mut by_checksum) = (0, 0);
    for round in 0..300 {
        let dir = tempfile::tempdir().unwrap();
        copy(origin.path(), dir.path());
        let files = files(dir.path());
        let what = damage(&files, &mut random);
        let left: Vec<u8> = files.iter().filter_map(|path| fs::read(path).ok()).flatten().collect();
        let (told, records) = salvaged(dir.path());
        by_checksum += told.by_checksum;

        // Nothing that comes out is other than what went in.
        for record in &records {
            let envelope = record.envelope().unwrap();
            assert_eq!(envelope, good[envelope.seq.0 as usize - 1], "{round}: {what}");
        }
        // Every block whose bytes are still there comes out.
        let out: std::collections::BTreeSet<u64> = records.iter().map(|it| it.seq.0).collect();
        for (first, (last, bytes)) in &spots {
            let is_there = memchr(&left, bytes);
            let is_out = (*first..=*last).all(|seq| out.contains(&seq));
            assert!(
                !is_there || is_out,
                "{round}: {what}: events {first} to {last} did not come out"
            );
        }
        // What did not come out is named.
        let named = |seq: u64| {
            told.holes.iter().any(|hole| hole.contains(&Seq(seq)))
                || matches!(told.end, End::Lost { last, .. } if seq > last.0)
        };
        for seq in 1..=good.len() as u64 {
            assert_eq!(out.contains(&seq), !named(seq), "{round}: {what}: event {seq}: {told}");
        }
        noticed += u32::from(is_noticed(dir.path(), &good));
    }
    // Some damage hits nothing that is in use; most of it must not.
    assert!(noticed > 150, "only {noticed} were noticed");
    assert!(by_checksum > 0, "no single event came out of a damaged block");
}

/// Whether `needle` is anywhere in `haystack`, without walking it byte by byte.
fn memchr(haystack: &[u8], needle: &[u8]) -> bool {
    let key = &needle[40..72];
    let mut from = 0;
    while let Some(at) = haystack[from..].windows(32).position(|window| window == key) {
        let start = (from + at).checked_sub(40);
        if start.is_some_and(|start| haystack[start..].starts_with(needle)) {
            return true;
        }
        from += at + 1;
    }
    false
}

#[test]
fn a_torn_tail_and_damage_in_the_middle_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let good = fill(dir.path());
    let last = Seq(good.len() as u64);
    assert_eq!(salvaged(dir.path()).0.end, End::Whole { last });

    // Something was being written: bytes after the end that nobody acknowledged.
    let mut newest = files(dir.path());
    newest.retain(|path| path.extension().is_none_or(|end| end != "vol"));
    let journal = newest.iter().find(|path| path.extension().is_some()).unwrap();
    let whole = fs::read(journal).unwrap();
    let at = whole.windows(4).rposition(|window| window == b"RBLK").unwrap();
    let mut torn = whole[at..at + 100].to_vec();
    for field in [16, 24, 32] {
        torn[field..field + 8].copy_from_slice(&(last.0 + 1).to_le_bytes());
    }
    torn[12] = 1;
    fs::write(journal, [&whole[..], &torn].concat()).unwrap();
    let (told, records) = salvaged(dir.path());
    assert_eq!((told.end, records.len()), (End::Torn { last }, good.len()));
    assert!(told.is_whole());

    // The same in the middle is damage, and so is an end before the mark.
    let volume = files(dir.path()).remove(0);
    let mut bytes = fs::read(&volume).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 300].fill(0);
    fs::write(&volume, bytes).unwrap();
    for path in &newest {
        fs::remove_file(path).unwrap();
    }
    let (told, _) = salvaged(dir.path());
    assert!(!told.is_whole() && !told.holes.is_empty(), "{told}");
    assert!(matches!(told.end, End::Lost { acknowledged, .. } if acknowledged == last), "{told}");
}

#[test]
fn a_log_in_use_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let _open = Log::open(dir.path()).unwrap();
    assert!(salvage(dir.path(), Vec::new()).is_err());
    assert!(salvage(&dir.path().join("nothing"), Vec::new()).is_err());
}
