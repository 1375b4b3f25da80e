//! The sled store of the volume that is appended to: its blocks ordered by their first event. Nothing in it
//! is durable, and nothing in it is missed: opening the log brings it in line with the `journal`, and a
//! full volume has none. What is in a block is `block`'s.
//!
//! ```text
//! tree "blocks"  first u64 | part 0 u16 -> the first 48 KiB of the block that begins with event first
//! tree "blocks"  first u64 | part u16   -> RPRT | first u64 | part u16 | CRC-32 of the rest | at most 48 KiB more of it
//! ```
//! Keys are big-endian, so that sled's order is the log's. The later parts say whose they are, so
//! that they can be put together again when the store can no longer be opened.

use std::path::Path;
use std::time::{Duration, Instant};

use domain::Seq;

use crate::active::is_full_disk;
use crate::block::{self, Block};
use crate::damage::Damage;
use crate::filler::Written;
use crate::log::OpenError;
use crate::reader::ReadError;

/// Largest piece of a block in one value. sled moves a leaf page of more than a quarter segment into a
/// file that it never syncs, and a leaf holds up to 17 values: 17 x 48 KiB stays below a quarter of
/// [`SEGMENT_BYTES`].
pub(crate) const PART_BYTES: usize = block::BLOCK_USUAL;

pub(crate) const PART_MAGIC: [u8; 4] = *b"RPRT";
pub(crate) const PART_HEADER_BYTES: usize = 4 + 8 + 2 + 4;

/// Cannot change for a store that exists.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How long a lock left by this process is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// An open store.
pub(crate) struct Store {
    db: sled::Db,
    blocks: sled::Tree,
}

impl Store {
    /// Opens sled. Its threads may hold its lock for a moment after the last handle of this process
    /// was dropped, so a lock that is taken is waited for.
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        let config = sled::Config::new()
            .path(dir)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        let until = Instant::now() + LOCK_WAIT;
        let db = loop {
            match config.open() {
                Ok(db) => break db,
                Err(error) if !is_locked(&error) => return Err(OpenError::Store(error)),
                Err(_) if Instant::now() >= until => return Err(OpenError::InUse),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let blocks = db.open_tree("blocks")?;
        Ok(Self { db, blocks })
    }
    /// Makes the store hold this block where it does not.
    pub(crate) fn bring_in_line(&self, block: &Block) -> Result<(), OpenError> {
        for (key, value) in values(block.first(), block.bytes()) {
            if self.blocks.get(key)?.is_none_or(|held| held != value) {
                self.blocks.insert(key, value)?;
            }
        }
        Ok(())
    }

    /// Removes whatever is not a part of blocks up to `last`; false when there is something between
    /// them, and the store has to be filled anew.
    pub(crate) fn cut_after(&self, last: Seq, values: u64) -> Result<bool, OpenError> {
        for entry in self.blocks.range(key(Seq(last.0.saturating_add(1)), 0)..) {
            self.blocks.remove(entry?.0)?;
        }
        Ok(self.blocks.iter().keys().count() as u64 == values)
    }

    /// Empties the store.
    pub(crate) fn clear(&self) -> Result<(), OpenError> {
        Ok(self.blocks.clear()?)
    }

    /// Adds blocks in one atomic step.
    pub(crate) fn put(&self, blocks: &[Written]) -> Result<(), sled::Error> {
        let mut batch = sled::Batch::default();
        for (first, bytes) in blocks {
            for (key, value) in values(*first, bytes) {
                batch.insert(&key, value);
            }
        }
        self.blocks.apply_batch(batch)
    }

    /// The block that holds `seq`, or would hold it if nothing is missing.
    pub(crate) fn block_at(&self, seq: Seq) -> Result<Block, ReadError> {
        let missing = ReadError::Damaged { seq, damage: Damage::Missing };
        let entry = self.blocks.range(..=key(seq, u16::MAX)).next_back().ok_or(missing)?;
        let (first, _) = read_key(&entry?.0, seq)?;
        let damaged = |damage| ReadError::Damaged { seq: first, damage };
        let value = self.blocks.get(key(first, 0))?.ok_or_else(|| damaged(Damage::Missing))?;
        let length = block::announced(&value).map_err(damaged)?.length;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&value);
        for part in 1..parts(length) {
            let value = self.blocks.get(key(first, part))?;
            let value = value.ok_or_else(|| damaged(Damage::PartMissing(part)))?;
            bytes.extend_from_slice(read_part(&value, first, part).map_err(damaged)?);
        }
        Block::check(bytes, first).map_err(|(seq, damage)| ReadError::Damaged { seq, damage })
    }

    /// The keys in order: the first event of a block, and the number of a part of it.
    pub(crate) fn keys(&self) -> Keys {
        Keys(self.blocks.iter())
    }

    /// Bytes on the disk.
    pub(crate) fn file_bytes(&self) -> Result<u64, ReadError> {
        Ok(self.db.size_on_disk()?)
    }
}

/// See [`Store::keys`].
pub(crate) struct Keys(sled::Iter);

impl Keys {
    /// The next key; `near` is the position to blame when it is not one of ours.
    pub(crate) fn next(&mut self, near: Seq) -> Result<Option<(Seq, u16)>, ReadError> {
        let Some(entry) = self.0.next() else { return Ok(None) };
        read_key(&entry?.0, near).map(Some)
    }
}

/// Number of values that a block of `length` bytes is cut into.
pub(crate) fn parts(length: usize) -> u16 {
    u16::try_from(length.div_ceil(PART_BYTES)).expect("a block of 16 MiB has 342 parts")
}

fn key(first: Seq, part: u16) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&first.0.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Takes a key apart; `near` is the position to blame when it is not one of ours.
fn read_key(key: &[u8], near: Seq) -> Result<(Seq, u16), ReadError> {
    let stray = ReadError::Damaged { seq: near, damage: Damage::StrayKey };
    let (first, part) = key.split_first_chunk::<8>().ok_or(stray)?;
    match part {
        [high, low] => Ok((Seq(u64::from_be_bytes(*first)), u16::from_be_bytes([*high, *low]))),
        _ => Err(ReadError::Damaged { seq: near, damage: Damage::StrayKey }),
    }
}

/// A block as the values of the store.
fn values(first: Seq, block: &[u8]) -> impl Iterator<Item = ([u8; 10], Vec<u8>)> + '_ {
    (0u16..).zip(block.chunks(PART_BYTES)).map(move |(part, piece)| {
        let value = if part == 0 { piece.to_vec() } else { write_part(first, part, piece) };
        (key(first, part), value)
    })
}

fn write_part(first: Seq, part: u16, piece: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(PART_HEADER_BYTES + piece.len());
    value.extend_from_slice(&PART_MAGIC);
    value.extend_from_slice(&first.0.to_le_bytes());
    value.extend_from_slice(&part.to_le_bytes());
    value.extend_from_slice(&crc32fast::hash(piece).to_le_bytes());
    value.extend_from_slice(piece);
    value
}

fn read_part(value: &[u8], first: Seq, part: u16) -> Result<&[u8], Damage> {
    let (header, piece) =
        value.split_first_chunk::<PART_HEADER_BYTES>().ok_or(Damage::PartMissing(part))?;
    let expected = write_part(first, part, &[]);
    if header[..14] != expected[..14] {
        return Err(Damage::Header("a part belongs to another block"));
    }
    Ok(piece)
}

/// sled has no error of its own for a lock that somebody else holds.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

/// Whether sled failed for want of space.
pub(crate) fn is_full(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if is_full_disk(io))
}
