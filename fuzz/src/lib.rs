//! What several targets share: bytes cut into fields, checksums put right, and files. The targets
//! are in `targets`, their limits in `run`.
//!
//! A fuzzer does not guess a checksum, so behind one it would never get. The targets of checksummed
//! formats look at the bytes as they came and then at a copy in which every checksum is right.

use std::fs::File;
use std::io::{Seek, Write};

/// Texts, cut at a byte that no text has.
pub fn texts(data: &[u8]) -> impl Iterator<Item = String> {
    data.split(|byte| *byte == 0xFF).map(|text| String::from_utf8_lossy(text).into_owned())
}

/// An open file with these bytes and no name.
pub fn file_of(bytes: &[u8]) -> File {
    let path = std::env::temp_dir().join(format!("reprise-fuzz-{}", std::process::id()));
    let mut options = File::options();
    let mut file =
        options.create(true).truncate(true).read(true).write(true).open(&path).expect("a place");
    std::fs::remove_file(&path).expect("it was made above");
    file.write_all(bytes).expect("room for a small file");
    file.rewind().expect("a file can be rewound");
    file
}

const FRAME_HEADER: usize = 64;

/// Puts the checksums of the frames in `bytes` right, as far as there are whole frames; where these
/// end, and how many they are. With `first`, numbers them from there.
pub fn repair_frames(bytes: &mut [u8], first: Option<u64>) -> (usize, u64) {
    let (mut at, mut count) = (0, 0);
    while let Some(head) = bytes.get(at..at + FRAME_HEADER) {
        let len = u32::from_le_bytes(head[..4].try_into().expect("four bytes"));
        let extra = usize::from(head[11] & 1) * 8 + usize::from(head[11] >> 1 & 1) * 16;
        let Some(end) = (at + FRAME_HEADER + extra).checked_add(len as usize) else { break };
        let Some(frame) = bytes.get_mut(at..end) else { break };
        if let Some(first) = first {
            frame[16..24].copy_from_slice(&first.wrapping_add(count).to_le_bytes());
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&frame[..4]);
        hasher.update(&frame[8..]);
        frame[4..8].copy_from_slice(&hasher.finalize().to_le_bytes());
        (at, count) = (end, count + 1);
    }
    (at, count)
}

/// The pages of an Ogg with their checksums put right.
pub fn repair_pages(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 27) {
        let segments = usize::from(head[26]);
        let Some(lens) = bytes.get(at + 27..at + 27 + segments) else { return };
        let body: usize = lens.iter().copied().map(usize::from).sum();
        let end = at + 27 + segments + body;
        let Some(page) = bytes.get_mut(at..end) else { return };
        page[22..26].fill(0);
        let sum = page.iter().fold(0, |crc: u32, &byte| {
            (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
                (crc << 1) ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
            })
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
}

/// Checks that a message which was read is written such that it reads back the same.
#[macro_export]
macro_rules! assert_round_trip {
    ($kind:ident, $code:expr, $body:expr) => {
        if let Ok(message) = $kind::decode($code, $body) {
            let again = $kind::decode(message.code(), &message.encode_body());
            assert_eq!(again.as_ref(), Ok(&message));
        }
    };
}
