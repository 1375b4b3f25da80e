//! Ranges of bytes and content digests. Which ranges a track holds is state of the engine.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

/// Bytes of a file are hashed, recorded and accepted in cells of this size, in bytes. Cells are
/// aligned to the start of the file, so two copies of one file have equal cells whoever sent them.
pub const CHUNK_BYTES: u64 = 256 * 1024;

/// On a takeover the next source begins this many bytes before the byte held, so that the overlap
/// can prove that both give the same file.
pub const OVERLAP_BYTES: u64 = 64 * 1024;

/// Half-open range of bytes `start..end` within one file.
#[derive(
    Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// Number of bytes; zero when the range is empty or reversed.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// True when there is no byte in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// End of the cell that `offset` lies in, for a file of `size` bytes.
#[must_use]
pub const fn cell_end(offset: u64, size: u64) -> u64 {
    let end = (offset / CHUNK_BYTES + 1) * CHUNK_BYTES;
    if end < size { end } else { size }
}

/// The exact bytes of one file, as somebody described them whom we need not trust: whatever is fetched
/// is checked against it unit by unit.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// Root of the hash tree over the units.
    pub root: Digest,
    /// Size of the file in bytes.
    pub size: u64,
    /// Bytes of one unit, the least that can be checked; the last may be shorter.
    pub unit: u32,
}

/// BLAKE3 digest of some bytes.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    /// The first 8 bytes in hexadecimal: enough to tell digests apart on a screen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
