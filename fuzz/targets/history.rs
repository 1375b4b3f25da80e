//! History files, which people send each other: `eventlog::history`. Looked at as they came, and
//! with every checksum put right. What was read to its end without an error is written to a file
//! that reads the same.
#![no_main]

use std::convert::Infallible;

use eventlog::Record;
use eventlog::history::{Header, HistoryReader, ReadError, write_history};
use libfuzzer_sys::fuzz_target;
use reprise_fuzz::repair_frames;

fuzz_target!(|data: &[u8]| {
    check(data);
    check(&repaired(data));
});

fn check(bytes: &[u8]) {
    let Ok((header, records)) = read(bytes) else { return };
    let mut written = Vec::new();
    let events = records.iter().cloned().map(Ok::<_, Infallible>);
    write_history(&mut written, header, events).expect("they were in order");
    let again = read(&written).expect("our own file is whole");
    assert_eq!(again, (header, records));
    for record in again.1 {
        // Understood or not, and never a panic.
        let _ = record.envelope();
    }
}

fn read(bytes: &[u8]) -> Result<(Header, Vec<Record>), ReadError> {
    let reader = HistoryReader::new(bytes)?;
    Ok((reader.header(), reader.records().collect::<Result<_, _>>()?))
}

fn repaired(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().max(24), 0);
    bytes[..12].copy_from_slice(b"RPRSHIST\x02\0\0\0");
    let sum = crc32fast::hash(&bytes[..20]);
    bytes[20..24].copy_from_slice(&sum.to_le_bytes());
    let (end, count) = repair_frames(&mut bytes[24..], None);
    bytes.truncate(24 + end);
    bytes.extend([0xFF; 4]);
    bytes.extend(count.to_le_bytes());
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}
