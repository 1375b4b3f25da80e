//! History files, which people send each other: `eventlog::history`, in both forms. Looked at as they
//! came, and with every length, hash and checksum put right. What was read to its end without an error
//! is written to a file that reads the same.
#![no_main]

use std::convert::Infallible;
use std::io::Write;

use eventlog::Record;
use eventlog::history::{Header, HistoryReader, ReadError, write_history};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use libfuzzer_sys::fuzz_target;
use reprise_fuzz::repair_frames;

fuzz_target!(|data: &[u8]| {
    check(data);
    check(&frames_only(data));
    check(&blocks(data));
});

fn check(bytes: &[u8]) {
    let Ok((header, records)) = read(bytes) else { return };
    let mut written = Vec::new();
    let events = records.iter().cloned().map(Ok::<_, Infallible>);
    write_history(&mut written, &header, events).expect("they were in order");
    let again = read(&written).expect("our own file is whole");
    assert_eq!(again, (header, records));
    for record in again.1 {
        // Understood or not, and never a panic.
        let _ = record.envelope();
    }
}

fn read(bytes: &[u8]) -> Result<(Header, Vec<Record>), ReadError> {
    let reader = HistoryReader::new(bytes)?;
    Ok((reader.header().clone(), reader.records().collect::<Result<_, _>>()?))
}

/// The form before, true to every checksum.
fn frames_only(data: &[u8]) -> Vec<u8> {
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

/// A text up to a byte that no text has, then the frames of one block.
fn blocks(data: &[u8]) -> Vec<u8> {
    let (text, frames) = match data.iter().position(|byte| *byte == 0xFF) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&data[..0], data),
    };
    let mut frames = frames.to_vec();
    let (end, count) = repair_frames(&mut frames, None);
    frames.truncate(end);
    let mut file = b"RPRSHIST\x03\0\0\0".to_vec();
    file.extend((text.len() as u32).to_le_bytes());
    file.extend(text);
    let mut chain = blake3::hash(&file);
    file.extend(chain.as_bytes());
    if !frames.is_empty() {
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(&frames).expect("memory");
        let stored = deflated.finish().expect("memory");
        let lengths = [frames.len() as u32, stored.len() as u32].map(u32::to_le_bytes).concat();
        chain = chained(chain, &lengths, &stored);
        file.extend(lengths);
        file.extend(chain.as_bytes());
        file.extend(stored);
    }
    let end = [&[0xFF; 4][..], &count.to_le_bytes()].concat();
    chain = chained(chain, &end, &[]);
    file.extend(end);
    file.extend(chain.as_bytes());
    file
}

fn chained(before: blake3::Hash, lengths: &[u8], bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before.as_bytes()).update(lengths).update(bytes);
    hasher.finalize()
}
