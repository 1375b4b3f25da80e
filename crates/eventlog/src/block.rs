//! A commit, or a part of a long one, as bytes: the frames of one or more steps, linked to the block before
//! by its hash. How a block is cut into values of the store is in `active`.
//!
//! ```text
//! offset  0       4         8        12      16      24       32        40            72        length-32
//!         | magic | version | length | count | first | begin  | end     | before      | frames  | hash       |
//!         | RBLK  | u32     | u32    | u32   | u64   | u64    | u64     | BLAKE3 of   | as many | BLAKE3 of  |
//!         |       |         |        |       |       | of the whole commit | block before| as count| all before |
//! ```
//! `begin` and `end` are the positions of the first and the last event of the commit. A block that is of
//! a later commit proves that the one before it was durable, because the writer waits for that.

use std::ops::{Range, RangeInclusive};

use domain::{Envelope, Seq};

use crate::damage::Damage;
use crate::frame::{self, Frame};
use crate::reader::ReadError;
use crate::record::Record;

/// Largest block in bytes.
pub(crate) const BLOCK_MOST: usize = 16 * 1024 * 1024;

/// A block is closed when the next step would make it longer, so that it is one value of the store.
pub(crate) const BLOCK_USUAL: usize = 48 * 1024;

pub(crate) const MAGIC: [u8; 4] = *b"RBLK";
/// Version of the block layout and of the frames in it.
const VERSION: u32 = 2;
pub(crate) const HEADER_BYTES: usize = 72;
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
    /// An empty block that will begin with `first`, of a commit of these events; `before` is the hash of
    /// the block before.
    pub(crate) fn new(first: Seq, commit: &RangeInclusive<Seq>, before: [u8; 32]) -> Self {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        for seq in [first, *commit.start(), *commit.end()] {
            bytes.extend_from_slice(&seq.0.to_le_bytes());
        }
        bytes.extend_from_slice(&before);
        Self { bytes, first, count: 0 }
    }

    /// True when a step of this many bytes fits, or when it would be alone.
    pub(crate) fn has_room(&self, frame_bytes: usize) -> bool {
        self.count == 0 || self.bytes.len() + frame_bytes + HASH_BYTES <= BLOCK_USUAL
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
            .expect("a step is refused before it is longer than a block");
        self.bytes[8..12].copy_from_slice(&length.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        let hash = *blake3::hash(&self.bytes).as_bytes();
        self.bytes.extend_from_slice(&hash);
        (self.bytes, hash)
    }
}

/// What a block says of itself before anything of it is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced {
    /// Bytes of the whole block.
    pub(crate) length: usize,
    /// Position of the first event.
    pub(crate) first: Seq,
    /// Position of the last event.
    pub(crate) last: Seq,
    /// Position of the first event of the commit.
    pub(crate) begin: Seq,
    /// Position of the last event of the commit.
    pub(crate) end: Seq,
}

/// Reads the header of a block.
pub(crate) fn announced(bytes: &[u8]) -> Result<Announced, Damage> {
    let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Damage::Cut)?;
    if header[..4] != MAGIC {
        return Err(Damage::Header("it does not begin with RBLK"));
    }
    let version = u32_at(header, 4);
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let length = usize::try_from(u32_at(header, 8)).unwrap_or(usize::MAX);
    if !(OVERHEAD..=BLOCK_MOST).contains(&length) {
        return Err(Damage::Header("its length is impossible"));
    }
    let (first, count) = (u64_at(header, 16), u64::from(u32_at(header, 12)));
    let last = first.checked_add(count).filter(|_| first > 0 && count > 0);
    let last = last.ok_or(Damage::Header("its positions are impossible"))? - 1;
    let (begin, end) = (u64_at(header, 24), u64_at(header, 32));
    if begin == 0 || begin > first || end < last {
        return Err(Damage::Header("it is not in its commit"));
    }
    let seqs = [first, last, begin, end].map(Seq);
    let [first, last, begin, end] = seqs;
    Ok(Announced { length, first, last, begin, end })
}

/// The hash that a block made by this program carries.
pub(crate) fn hash_of(block: &[u8]) -> [u8; 32] {
    *block.last_chunk().expect("a block ends with its hash")
}

/// A block that was checked.
#[derive(Clone)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    frames: Vec<Range<usize>>,
    first: Seq,
    last: Seq,
}

impl Block {
    /// Checks the bytes of the block that should begin with `first`: its form and its hash. An error
    /// names the event that is damaged, or the block's first when that cannot be told.
    pub(crate) fn check(bytes: Vec<u8>, first: Seq) -> Result<Self, (Seq, Damage)> {
        let announced = announced(&bytes).map_err(|damage| (first, damage))?;
        if bytes.len() != announced.length {
            let cut = bytes.len() < announced.length;
            return Err((first, if cut { Damage::Cut } else { Damage::Surplus }));
        }
        if announced.first != first {
            return Err((first, Damage::Header("it begins with another event than its key says")));
        }
        let last = announced.last;
        let end = announced.length - HASH_BYTES;
        // As many as there can be, whatever the header says.
        let most = announced.length / frame::HEADER_BYTES;
        let count = usize::try_from(last.0 - first.0 + 1).unwrap_or(most);
        let mut frames = Vec::with_capacity(count.min(most));
        let mut start = HEADER_BYTES;
        for seq in first.0..=last.0 {
            let named = |damage| (Seq(seq), damage);
            let (frame, rest) = frame::split(&bytes[start..end])
                .map_err(|damage| blame(&bytes, &frames).unwrap_or(named(damage)))?;
            if frame.seq().0 != seq {
                return Err(
                    blame(&bytes, &frames).unwrap_or(named(Damage::Position(frame.seq().0)))
                );
            }
            frames.push(start..end - rest.len());
            start = end - rest.len();
        }
        if start != end {
            return Err(blame(&bytes, &frames).unwrap_or((last, Damage::Surplus)));
        }
        if *blake3::hash(&bytes[..end]).as_bytes() != bytes[end..] {
            // The checksums tell which frame it is, unless it is the header or the hash itself.
            return Err(blame(&bytes, &frames).unwrap_or((first, Damage::Hash)));
        }
        Ok(Self { bytes, frames, first, last })
    }

    /// Checks what reading does not need: the checksum of each frame, which only matters once the
    /// block is damaged.
    pub(crate) fn check_sums(&self) -> Result<(), (Seq, Damage)> {
        match blame(&self.bytes, &self.frames) {
            Some(damaged) => Err(damaged),
            None => Ok(()),
        }
    }

    /// The block, unless `seq` comes after it: then what should follow is missing.
    pub(crate) fn reaching(self, seq: Seq) -> Result<Self, ReadError> {
        if self.last >= seq {
            return Ok(self);
        }
        let seq = Seq(self.last.0 + 1);
        Err(ReadError::Damaged { seq, damage: Damage::Missing })
    }

    /// Position of the first event.
    pub(crate) fn first(&self) -> Seq {
        self.first
    }

    /// Position of the last event.
    pub(crate) fn last(&self) -> Seq {
        self.last
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hash that the block after must carry.
    pub(crate) fn hash(&self) -> [u8; 32] {
        hash_of(&self.bytes)
    }

    /// The hash of the block before, as this one carries it.
    pub(crate) fn before(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(&self.bytes[40..72]);
        hash
    }

    /// The frame at `seq`, which must be one of this block's.
    pub(crate) fn frame(&self, seq: Seq) -> Frame<'_> {
        let index = usize::try_from(seq.0 - self.first.0).expect("a block holds fewer than 2^32");
        frame::split(&self.bytes[self.frames[index].clone()]).expect("it was split before").0
    }

    /// The event at `seq`, which must be one of this block's.
    pub(crate) fn envelope(&self, seq: Seq) -> Result<Envelope, Damage> {
        self.frame(seq).envelope()
    }

    /// The record at `seq`, which must be one of this block's.
    pub(crate) fn record(&self, seq: Seq) -> Result<Record, Damage> {
        self.frame(seq).record()
    }
}

/// The first of these frames whose checksum is wrong.
fn blame(bytes: &[u8], frames: &[Range<usize>]) -> Option<(Seq, Damage)> {
    let first = Seq(u64_at(bytes, 16));
    (first.0..).zip(frames).find_map(|(seq, range)| {
        let (frame, _) = frame::split(&bytes[range.clone()]).ok()?;
        frame.check().err().map(|damage| (Seq(seq), damage))
    })
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
