//! History files: what is written reads back, and every damage is an error that says where.

use std::io::{Read, Write};

use domain::observation::SessionEnd;
use domain::{Envelope, Event, Input, JobId, Observation, Seq, Timestamp};
use eventlog::Damage;
use eventlog::history::{Header, HistoryReader, ReadError, WriteError, write_envelopes};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;

use crate::samples;

fn envelopes() -> Vec<Envelope> {
    // Every third position: a history of one job has gaps.
    (1u64..)
        .zip(samples::all())
        .map(|(index, (_, event))| Envelope {
            seq: Seq(index * 3),
            at: Timestamp(index),
            cause: Seq(index),
            event,
        })
        .collect()
}

fn written(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::new();
    let envelopes = envelopes();
    let events = envelopes.iter().map(|envelope| (envelope, None));
    write_envelopes(&mut bytes, header, events).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Envelope>, ReadError> {
    HistoryReader::new(bytes)?.collect()
}

fn header() -> Header {
    Header { engine: 3, job: Some(JobId(8)), seed: Some(7), ..Header::default() }
}

#[test]
fn a_history_reads_back_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("job-8.replay");
    std::fs::write(&path, written(&header())).unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    assert_eq!(reader.header(), &header());
    assert_eq!(reader.collect::<Result<Vec<_>, _>>().unwrap(), envelopes());
    let whole = Header::default();
    assert_eq!(HistoryReader::new(&written(&whole)[..]).unwrap().header(), &whole);
}

#[test]
fn every_seventh_byte_changed_is_an_error() {
    let good = written(&header());
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        let error = read(&bad).unwrap_err();
        match error {
            ReadError::Damaged { offset, .. } => assert!(offset <= at as u64, "{at}: {error}"),
            ReadError::NotAHistory => assert!(at < 8),
            ReadError::Io(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_cut_and_every_surplus_is_an_error() {
    let mut bytes = written(&header());
    bytes.push(0);
    assert!(read(&bytes).is_err());
    bytes.pop();
    assert!(read(&bytes).is_ok());
    while bytes.pop().is_some() {
        assert!(read(&bytes).is_err(), "{} bytes", bytes.len());
    }
}

#[test]
fn events_out_of_order_are_not_written() {
    let mut events = envelopes();
    events.swap(1, 2);
    let events = events.iter().map(|envelope| (envelope, None));
    let order = write_envelopes(std::io::sink(), &header(), events);
    assert!(matches!(order, Err(WriteError::Order(Seq(6)))));
}

/// The file of some frames, true to every length and hash.
fn file_of(frames: &[u8], inflated: u32, count: u64) -> Vec<u8> {
    let whole = written(&Header::default());
    let mut file = whole[..header_end(&whole)].to_vec();
    let mut chain = blake3::hash(&file[..file.len() - 32]);
    let mut link = |lengths: &[u8], stored: &[u8]| {
        let mut hasher = blake3::Hasher::new();
        chain = hasher.update(chain.as_bytes()).update(lengths).update(stored).finalize();
        chain
    };
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
    deflated.write_all(frames).unwrap();
    let stored = deflated.finish().unwrap();
    let lengths = [inflated.to_le_bytes(), (stored.len() as u32).to_le_bytes()].concat();
    file.extend(&lengths);
    file.extend(link(&lengths, &stored).as_bytes());
    file.extend(stored);
    let end = [&[0xff; 4][..], &count.to_le_bytes()].concat();
    file.extend(&end);
    file.extend(link(&end, &[]).as_bytes());
    file
}

fn header_end(file: &[u8]) -> usize {
    16 + word(file, 12) as usize + 32
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Where each block of a file begins, and where its end mark does.
fn blocks(file: &[u8]) -> Vec<usize> {
    let mut starts = vec![header_end(file)];
    while let Some(start) = starts.last().copied().filter(|start| word(file, *start) < u32::MAX) {
        starts.push(start + 40 + word(file, start + 4) as usize);
    }
    starts
}

fn frames() -> Vec<u8> {
    let file = written(&Header::default());
    let mut frames = Vec::new();
    let stored = &file[header_end(&file) + 40..];
    DeflateDecoder::new(stored).read_to_end(&mut frames).unwrap();
    frames
}

#[test]
fn damage_is_named_by_the_block_it_is_in_and_the_event_before() {
    let events: Vec<_> = (1..=12_000u64)
        .zip(samples::all().into_iter().cycle())
        .map(|(seq, (_, event))| (seq, event))
        .map(|(seq, event)| Envelope { seq: Seq(seq), at: Timestamp(seq), cause: Seq(seq), event })
        .collect();
    let mut good = Vec::new();
    write_envelopes(&mut good, &header(), events.iter().map(|event| (event, None))).unwrap();
    let starts = blocks(&good);
    assert!(starts.len() > 3, "{starts:?}");
    let mut reached = Seq(0);
    for pair in starts.windows(2) {
        for at in [pair[0] + 9, pair[0] + 41, pair[1] - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let mut reader = HistoryReader::new(&bad[..]).unwrap();
            let before = reader.by_ref().take_while(Result::is_ok).count() as u64;
            let mut reader = HistoryReader::new(&bad[..]).unwrap();
            match reader.find_map(Result::err).unwrap() {
                ReadError::Damaged { offset, after, damage: Damage::Hash } => {
                    assert_eq!((offset, after), (pair[0] as u64, Seq(before)));
                    reached = after;
                }
                other => panic!("{at}: {other}"),
            }
        }
    }
    assert!(reached > Seq(6000));
}

#[test]
fn what_inflates_to_more_or_less_than_it_says_is_refused() {
    let frames = frames();
    let length = frames.len() as u32;
    let count = envelopes().len() as u64;
    assert_eq!(read(&file_of(&frames, length, count)).unwrap(), envelopes());
    for (inflated, count) in [(length - 1, count), (length + 1, count), (length, count + 1)] {
        let read = read(&file_of(&frames, inflated, count));
        assert!(matches!(read, Err(ReadError::Damaged { .. })), "{inflated} {count}");
    }
    // A bomb: a kilobyte of it is a megabyte.
    let zeros = vec![0; 17 << 20];
    let bomb = file_of(&zeros, zeros.len() as u32, 0);
    assert!(bomb.len() < 500_000);
    for inflated in [zeros.len() as u32, 1000] {
        assert!(read(&file_of(&zeros, inflated, 0)).is_err());
    }
}

#[test]
fn a_small_file_of_very_much_is_refused() {
    let bomb = |count: u64| {
        let reason = SessionEnd::Lost("a".repeat(1 << 20));
        let event = Event::Input(Input::Observation(Observation::SessionClosed { reason }));
        let mut envelope = Envelope { seq: Seq(0), at: Timestamp(1), cause: Seq(0), event };
        let events: Vec<_> = (1..=count)
            .map(Seq)
            .map(|seq| {
                (envelope.seq, envelope.cause) = (seq, seq);
                envelope.clone()
            })
            .collect();
        let mut bytes = Vec::new();
        let events = events.iter().map(|envelope| (envelope, None));
        write_envelopes(&mut bytes, &header(), events).unwrap();
        bytes
    };
    assert_eq!(read(&bomb(60)).unwrap().len(), 60);
    let refused = read(&bomb(100)).unwrap_err().to_string();
    assert!(refused.contains("far more than events of its size"), "{refused}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn no_bytes_behind_a_true_hash_make_it_panic(
        start in 0usize..20_000,
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        fix in any::<bool>(),
    ) {
        let mut frames = frames();
        let start = start.min(frames.len() - bytes.len());
        frames[start..start + bytes.len()].copy_from_slice(&bytes);
        if fix {
            // Right checksums around a wrong payload: only its validation can refuse it.
            repair(&mut frames);
        }
        let count = envelopes().len() as u64;
        let read = read(&file_of(&frames, frames.len() as u32, count));
        prop_assert!(fix || read.is_err() || read.unwrap() == envelopes());
    }
}

fn repair(bytes: &mut [u8]) {
    let mut at = 0;
    while at + 64 <= bytes.len() {
        let len = word(bytes, at) as usize;
        let flags = bytes[at + 11];
        let extra = [(1, 8), (2, 16)];
        let extra: usize =
            extra.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, bytes)| bytes).sum();
        let end = at.checked_add(64 + extra + len).filter(|end| *end <= bytes.len());
        let Some(end) = end else { return };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[at..at + 4]);
        hasher.update(&bytes[at + 8..end]);
        bytes[at + 4..at + 8].copy_from_slice(&hasher.finalize().to_le_bytes());
        at = end;
    }
}
