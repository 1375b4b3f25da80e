//! History files: what is written reads back, and every damage is an error that says where.

use domain::{Envelope, JobId, Seq, Timestamp};
use eventlog::history::{Header, HistoryReader, ReadError, WriteError, write_envelopes};
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

fn written(header: Header) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_envelopes(&mut bytes, header, &envelopes()).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Envelope>, ReadError> {
    HistoryReader::new(bytes)?.collect()
}

const HEADER: Header = Header { engine: 3, job: Some(JobId(8)) };

#[test]
fn a_history_reads_back_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("job-8.history");
    std::fs::write(&path, written(HEADER)).unwrap();
    let reader = HistoryReader::open(&path).unwrap();
    assert_eq!(reader.header(), HEADER);
    assert_eq!(reader.collect::<Result<Vec<_>, _>>().unwrap(), envelopes());
    let whole = Header { engine: 0, job: None };
    assert_eq!(HistoryReader::new(&written(whole)[..]).unwrap().header(), whole);
}

#[test]
fn every_seventh_byte_changed_is_an_error() {
    let good = written(HEADER);
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
    let mut bytes = written(HEADER);
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
    let order = write_envelopes(std::io::sink(), HEADER, &events);
    assert!(matches!(order, Err(WriteError::Order(Seq(6)))));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn no_frame_bytes_make_it_panic(
        start in 24usize..20_000,
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        fix in any::<bool>(),
    ) {
        let good = written(HEADER);
        let mut bad = good.clone();
        let start = start.min(good.len() - bytes.len());
        bad[start..start + bytes.len()].copy_from_slice(&bytes);
        if fix {
            // Right checksums around a wrong payload: only its validation can refuse it.
            repair(&mut bad);
        }
        // Some changes give another valid event; then the hash at the end has the last word.
        prop_assert!(bad == good || read(&bad).is_err());
    }
}

fn repair(bytes: &mut [u8]) {
    let mut at = 24;
    while at + 64 <= bytes.len() {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
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
