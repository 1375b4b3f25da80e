//! The store of the volume that is appended to: its blocks in sled, ordered by their first event. What
//! makes them durable is `journal`, which the store is brought in line with whenever it is opened; when
//! the volume is full, the store is removed. What is in a block is `block`'s.
//!
//! ```text
//! tree "blocks"  first u64 | part 0 u16 -> the first 48 KiB of the block that begins with event first
//! tree "blocks"  first u64 | part u16   -> RPRT | first u64 | part u16 | CRC-32 of the rest | at most 48 KiB more of it
//! ```
//! Keys are big-endian, so that sled's order is the log's. The later parts say whose they are, so
//! that they can be put together again when the store can no longer be opened.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::Seq;

use crate::block::{self, Block};
use crate::damage::Damage;
use crate::identity::LogId;
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

/// What a volume is a part of, and where it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// The log it belongs to.
    pub(crate) identity: LogId,
    /// Position of its first event.
    pub(crate) first: Seq,
    /// Hash of the block before its first one.
    pub(crate) before: [u8; 32],
}

/// An open store.
pub(crate) struct Active {
    // Taken when it is dropped, so that sled has let go before the folder is removed.
    store: Option<Store>,
    dir: PathBuf,
    start: Start,
    retired: AtomicBool,
}

struct Store {
    db: sled::Db,
    blocks: sled::Tree,
}

impl Active {
    /// Opens the store in `dir`, or makes one.
    pub(crate) fn open(dir: &Path, start: Start) -> Result<Self, OpenError> {
        let (store, retired) = (Some(Store::open(dir)?), AtomicBool::new(false));
        Ok(Self { store, dir: dir.into(), start, retired })
    }

    /// Makes the store hold this block where it does not.
    pub(crate) fn bring_in_line(&self, block: &Block) -> Result<(), OpenError> {
        let blocks = &self.store().blocks;
        for (key, value) in values(block.first(), block.bytes()) {
            if blocks.get(key)?.is_none_or(|held| held != value) {
                blocks.insert(key, value)?;
            }
        }
        Ok(())
    }

    /// Removes whatever is not a part of blocks up to `last`; false when there is something between
    /// them, and the store has to be filled anew.
    pub(crate) fn cut_after(&self, last: Seq, values: u64) -> Result<bool, OpenError> {
        let blocks = &self.store().blocks;
        for entry in blocks.range(key(Seq(last.0.saturating_add(1)), 0)..) {
            blocks.remove(entry?.0)?;
        }
        Ok(blocks.iter().keys().count() as u64 == values)
    }

    /// Empties the store.
    pub(crate) fn clear(&self) -> Result<(), OpenError> {
        Ok(self.store().blocks.clear()?)
    }

    pub(crate) fn start(&self) -> Start {
        self.start
    }

    /// Adds the blocks of one commit in one atomic step.
    pub(crate) fn put(&self, blocks: &[(Seq, Vec<u8>)]) -> Result<(), sled::Error> {
        let mut batch = sled::Batch::default();
        for (first, bytes) in blocks {
            for (key, value) in values(*first, bytes) {
                batch.insert(&key, value);
            }
        }
        self.store().blocks.apply_batch(batch)
    }

    /// The block that begins with `first`, checked; `None` when there is none.
    pub(crate) fn block_from(&self, first: Seq) -> Result<Option<Block>, ReadError> {
        let damaged = |damage| ReadError::Damaged { seq: first, damage };
        let blocks = &self.store().blocks;
        let Some(value) = blocks.get(key(first, 0))? else { return Ok(None) };
        let length = block::announced(&value).map_err(damaged)?.length;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&value);
        for part in 1..parts(length) {
            let value = blocks.get(key(first, part))?;
            let value = value.ok_or_else(|| damaged(Damage::PartMissing(part)))?;
            bytes.extend_from_slice(read_part(&value, first, part).map_err(damaged)?);
        }
        let block = Block::check(bytes, first);
        block.map(Some).map_err(|(seq, damage)| ReadError::Damaged { seq, damage })
    }

    /// The first event of the block that holds `seq`, or that would hold it if nothing is missing.
    pub(crate) fn first_of(&self, seq: Seq) -> Result<Option<Seq>, ReadError> {
        match self.store().blocks.range(..=key(seq, u16::MAX)).next_back() {
            Some(entry) => read_key(&entry?.0, seq).map(|(first, _)| Some(first)),
            None => Ok(None),
        }
    }

    /// Every block in order, each following the one before it, with nothing between them.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk {
            active: self,
            keys: self.store().blocks.iter(),
            expected: (self.start.first, 0),
            parts: 0,
            after: self.start.first,
            before: self.start.before,
        }
    }

    /// Bytes of the store on the disk.
    pub(crate) fn file_bytes(&self) -> Result<u64, ReadError> {
        Ok(self.store().db.size_on_disk()?)
    }

    /// Lets the folder be removed once nobody reads from it any more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is taken only when dropped")
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        drop(self.store.take());
        if *self.retired.get_mut() {
            // Opening the log finds what is left beside its sealed form and removes it then.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

impl Store {
    /// Opens sled. Its threads may hold its lock for a moment after the last handle of this process
    /// was dropped, so a lock that is taken is waited for.
    fn open(dir: &Path) -> Result<Self, OpenError> {
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
}

/// Blocks of a volume in order; see [`Active::walk`]. The first error is the last item.
pub(crate) struct Walk<'a> {
    active: &'a Active,
    keys: sled::Iter,
    /// The key that comes next if nothing is missing and nothing is too much.
    expected: (Seq, u16),
    parts: u16,
    after: Seq,
    before: [u8; 32],
}

impl Walk<'_> {
    fn step(&mut self) -> Result<Option<Block>, ReadError> {
        loop {
            let Some(entry) = self.keys.next() else {
                let (seq, part) = self.expected;
                return match part {
                    0 => Ok(None),
                    part => Err(ReadError::Damaged { seq, damage: Damage::PartMissing(part) }),
                };
            };
            let found = read_key(&entry?.0, self.expected.0)?;
            if found != self.expected {
                return Err(unexpected(found, self.expected));
            }
            let (first, part) = self.expected;
            if part > 0 {
                self.pass(part);
                continue;
            }
            let block = self.active.block_from(first)?;
            let block = block.ok_or(ReadError::Damaged { seq: first, damage: Damage::Missing })?;
            if block.before() != self.before {
                return Err(ReadError::Damaged { seq: first, damage: Damage::Chain });
            }
            self.before = block.hash();
            self.parts = parts(block.bytes().len());
            self.after = Seq(block.last().0 + 1);
            self.pass(0);
            return Ok(Some(block));
        }
    }

    fn pass(&mut self, part: u16) {
        let next = part + 1;
        self.expected = if next < self.parts { (self.expected.0, next) } else { (self.after, 0) };
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Block, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

fn unexpected(found: (Seq, u16), expected: (Seq, u16)) -> ReadError {
    if found < expected {
        return ReadError::Damaged { seq: found.0, damage: Damage::StrayKey };
    }
    let damage = match expected.1 {
        0 => Damage::Missing,
        part => Damage::PartMissing(part),
    };
    ReadError::Damaged { seq: expected.0, damage }
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

/// Whether the file system failed for want of space.
pub(crate) fn is_full_disk(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
