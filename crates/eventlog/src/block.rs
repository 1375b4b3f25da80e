//! One commit as bytes: the frames of one or more steps, linked to the block before by its hash.
//! How a block is cut into values of the store is in `store`.
//!
//! ```text
//! offset  0       4         8        12      16      24            56              length-32
//!         | magic | version | length | count | first | before      | frames ...    | hash       |
//!         | RBLK  | u32     | u32    | u32   | u64   | BLAKE3 of   | count of them | BLAKE3 of  |
//!         |       |         |        |       |       | block before|               | all before |
//! ```

use std::ops::Range;

use domain::{Envelope, Seq};

use crate::damage::Damage;
use crate::frame::{self, Frame};

/// Largest block in bytes.
pub(crate) const BLOCK_MOST: usize = 16 * 1024 * 1024;

const MAGIC: [u8; 4] = *b"RBLK";
/// Version of the block layout; the frames in it have their own.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 56;
const HASH_BYTES: usize = 32;

/// Bytes a block adds to its frames.
pub(crate) const OVERHEAD: usize = HEADER_BYTES + HASH_BYTES;

/// A block being filled.
pub(crate) struct Draft {
    bytes: Vec<u8>,
    first: Seq,
    count: u32,
}

impl Draft {
    /// An empty block that will begin with `first`; `before` is the hash of the block before.
    pub(crate) fn new(first: Seq, before: [u8; 32]) -> Self {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&first.0.to_le_bytes());
        bytes.extend_from_slice(&before);
        Self { bytes, first, count: 0 }
    }

    /// True when frames of this many bytes still fit.
    pub(crate) fn has_room(&self, frame_bytes: usize) -> bool {
        self.bytes.len() + frame_bytes + HASH_BYTES <= BLOCK_MOST
    }

    /// Adds `count` frames, which the caller made for the positions that follow.
    pub(crate) fn push(&mut self, frames: &[u8], count: u32) {
        self.bytes.extend_from_slice(frames);
        self.count += count;
    }

    /// Position of the first event.
    pub(crate) fn first(&self) -> Seq {
        self.first
    }

    /// True when it holds no event.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes to store, and their hash for the block after.
    pub(crate) fn finish(mut self) -> (Vec<u8>, [u8; 32]) {
        let length = u32::try_from(self.bytes.len() + HASH_BYTES)
            .expect("has_room keeps a block below 16 MiB");
        self.bytes[8..12].copy_from_slice(&length.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        let hash = *blake3::hash(&self.bytes).as_bytes();
        self.bytes.extend_from_slice(&hash);
        (self.bytes, hash)
    }
}

/// Length of the whole block whose first value is `part`.
pub(crate) fn announced_len(part: &[u8]) -> Result<usize, Damage> {
    let header = part.first_chunk::<HEADER_BYTES>().ok_or(Damage::Cut)?;
    if header[..4] != MAGIC {
        return Err(Damage::Header("it does not begin with RBLK"));
    }
    let version = u32_at(header, 4);
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    match usize::try_from(u32_at(header, 8)) {
        Ok(length) if (OVERHEAD..=BLOCK_MOST).contains(&length) => Ok(length),
        _ => Err(Damage::Header("its length is impossible")),
    }
}

/// A block that was checked: its hash, its count, and every frame's checksum and position.
pub(crate) struct Block {
    bytes: Vec<u8>,
    frames: Vec<Range<usize>>,
    first: Seq,
    last: Seq,
}

impl Block {
    /// Checks the bytes of the block that should begin with `first`. An error names the event that
    /// is damaged, or the block's first when that cannot be told.
    pub(crate) fn check(bytes: Vec<u8>, first: Seq) -> Result<Self, (Seq, Damage)> {
        let at_first = |damage| (first, damage);
        let length = announced_len(&bytes).map_err(at_first)?;
        if bytes.len() != length {
            let damage = if bytes.len() < length { Damage::Cut } else { Damage::Surplus };
            return Err((first, damage));
        }
        if u64_at(&bytes, 16) != first.0 {
            return Err((first, Damage::Header("it begins with another event than its key says")));
        }
        let count = u32_at(&bytes, 12);
        let end = first.0.checked_add(count.into()).filter(|_| count > 0);
        let Some(last) = end.map(|end| Seq(end - 1)) else {
            return Err((first, Damage::Header("its count is impossible")));
        };
        let end = length - HASH_BYTES;
        let mut frames = Vec::new();
        let mut start = HEADER_BYTES;
        for seq in first.0..=last.0 {
            let (frame, rest) =
                frame::split(&bytes[start..end]).map_err(|damage| (Seq(seq), damage))?;
            if frame.seq().0 != seq {
                return Err((Seq(seq), Damage::Position(frame.seq().0)));
            }
            frames.push(start..end - rest.len());
            start = end - rest.len();
        }
        if start != end {
            return Err((last, Damage::Surplus));
        }
        if *blake3::hash(&bytes[..end]).as_bytes() != bytes[end..] {
            return Err((first, Damage::Hash));
        }
        Ok(Self { bytes, frames, first, last })
    }

    /// Position of the first event.
    pub(crate) fn first(&self) -> Seq {
        self.first
    }

    /// Position of the last event.
    pub(crate) fn last(&self) -> Seq {
        self.last
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The hash that the block after must carry.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(&self.bytes[self.bytes.len() - HASH_BYTES..]);
        hash
    }

    /// The hash of the block before, as this one carries it.
    pub(crate) fn before(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(&self.bytes[24..56]);
        hash
    }

    /// The event at `seq`, which must be one of this block's.
    pub(crate) fn envelope(&self, seq: Seq) -> Result<Envelope, Damage> {
        let index = usize::try_from(seq.0 - self.first.0).expect("a block holds fewer than 2^32");
        Frame::checked(&self.bytes[self.frames[index].clone()])?.envelope()
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_block_is_damage_wherever_it_claims_to_stand() {
        for first in [Seq(0), Seq(1), Seq(u64::MAX)] {
            let (bytes, _) = Draft::new(first, [0; 32]).finish();
            assert!(matches!(Block::check(bytes, first), Err((_, Damage::Header(_)))), "{first}");
        }
    }
}
