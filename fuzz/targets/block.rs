//! Blocks and marks as they lie in the log: `eventlog`'s modules `block`, `frame` and `mark`.
//! Looked at as they came, and with lengths, positions and checksums put right. The events of a
//! sound block have the positions it claims; a mark that is believed is written as it was read.
#![no_main]

use domain::Seq;
use eventlog::fuzzing;
use libfuzzer_sys::fuzz_target;
use reprise_fuzz::repair_frames;

const HEADER: usize = 72;

fuzz_target!(|data: &[u8]| {
    let first = data.get(16..24).map_or(1, |it| u64::from_le_bytes(it.try_into().expect("eight")));
    for bytes in [data.to_vec(), repaired(data, first)] {
        if let Ok(envelopes) = fuzzing::block(&bytes, Seq(first)) {
            let seqs = envelopes.iter().map(|envelope| envelope.seq.0);
            assert!(seqs.eq((first..=u64::MAX).take(envelopes.len())));
        }
    }
    if let Some((last, hash)) = fuzzing::mark(data) {
        assert_eq!(fuzzing::write_mark(last, &hash), data);
    }
    let mut marked = data.to_vec();
    marked.extend(crc32fast::hash(data).to_le_bytes());
    if let Some((last, hash)) = fuzzing::mark(&marked) {
        assert_eq!(fuzzing::write_mark(last, &hash), marked);
    }
});

fn repaired(data: &[u8], first: u64) -> Vec<u8> {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().max(HEADER), 0);
    let (end, count) = repair_frames(&mut bytes[HEADER..], Some(first));
    bytes.truncate(HEADER + end);
    bytes[..8].copy_from_slice(b"RBLK\x02\0\0\0");
    let length = bytes.len() as u32 + 32;
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes[12..16].copy_from_slice(&(count as u32).to_le_bytes());
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    bytes[24..32].copy_from_slice(&first.to_le_bytes());
    let last = first.wrapping_add(count).wrapping_sub(1);
    bytes[32..40].copy_from_slice(&last.to_le_bytes());
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}
