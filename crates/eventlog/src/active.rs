//! The volume that is appended to: a sled store of blocks, and what makes them durable. When it is
//! full its blocks move into one flat file, see `sealed`; what is in a block is `block`'s.
//!
//! ```text
//! tree "meta"    volume                 -> RPRSVOLM | version u32 | identity, 16 bytes | first u64 | before, 32 bytes
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

const META_KEY: &[u8] = b"volume";
const META_MAGIC: [u8; 8] = *b"RPRSVOLM";
const META_VERSION: u32 = 2;

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
    // sled's own flush only hands bytes to the kernel; this second handle makes them durable.
    file: File,
}

impl Active {
    /// Begins a volume in `dir`, which must not be there.
    pub(crate) fn create(dir: &Path, start: Start) -> Result<Self, OpenError> {
        let io = |what| move |source| OpenError::Io { what, source };
        std::fs::create_dir(dir).map_err(io("create a volume of"))?;
        let store = Store::open(dir)?;
        let meta = store.db.open_tree("meta")?;
        meta.insert(META_KEY, write_meta(start))?;
        store.db.flush()?;
        store.file.sync_data().map_err(io("sync"))?;
        // The names of the new files are durable only once their folders are.
        sync_folder(dir).map_err(io("sync a folder of"))?;
        sync_folder(dir.parent().unwrap_or(dir)).map_err(io("sync a folder of"))?;
        Ok(Self { store: Some(store), dir: dir.into(), start, retired: AtomicBool::new(false) })
    }

    /// Opens the volume in `dir`; `None` when it was never begun to its end, and so holds nothing.
    pub(crate) fn open(dir: &Path) -> Result<Option<Self>, OpenError> {
        if !dir.join("db").exists() {
            return Ok(None);
        }
        let store = Store::open(dir)?;
        let start = match store.db.open_tree("meta")?.get(META_KEY)? {
            Some(value) => read_meta(&value)?,
            None if store.blocks.is_empty() => return Ok(None),
            None => return Err(OpenError::NoIdentity),
        };
        let retired = AtomicBool::new(false);
        Ok(Some(Self { store: Some(store), dir: dir.into(), start, retired }))
    }

    pub(crate) fn start(&self) -> Start {
        self.start
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes blocks in one atomic step; they are durable when this returns.
    pub(crate) fn commit(&self, blocks: &[(Seq, Vec<u8>)]) -> Result<(), CommitError> {
        let store = self.store();
        let mut batch = sled::Batch::default();
        for (first, bytes) in blocks {
            for (part, piece) in (0u16..).zip(bytes.chunks(PART_BYTES)) {
                if part == 0 {
                    batch.insert(&key(*first, part), piece);
                } else {
                    batch.insert(&key(*first, part), write_part(*first, part, piece));
                }
            }
        }
        store.blocks.apply_batch(batch)?;
        store.db.flush()?;
        store.file.sync_data().map_err(CommitError::Sync)
    }

    /// Makes durable whatever the store holds.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.store().file.sync_data()
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

    /// The last block, checked; `None` in an empty volume.
    pub(crate) fn last_block(&self) -> Result<Option<Block>, ReadError> {
        match self.first_of(Seq(u64::MAX))? {
            Some(first) => self.block_from(first),
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

    /// Bytes of the store's file.
    pub(crate) fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.store().file.metadata()?.len())
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
        let file = File::open(dir.join("db"))
            .map_err(|source| OpenError::Io { what: "open a file of", source })?;
        let blocks = db.open_tree("blocks")?;
        Ok(Self { db, blocks, file })
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

/// Why blocks are not known to be durable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error(transparent)]
    Store(#[from] sled::Error),
    #[error(transparent)]
    Sync(io::Error),
}

/// Number of values that a block of `length` bytes is cut into.
fn parts(length: usize) -> u16 {
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

fn write_meta(start: Start) -> Vec<u8> {
    let mut value = META_MAGIC.to_vec();
    value.extend_from_slice(&META_VERSION.to_le_bytes());
    value.extend_from_slice(&start.identity.0);
    value.extend_from_slice(&start.first.0.to_le_bytes());
    value.extend_from_slice(&start.before);
    value
}

fn read_meta(value: &[u8]) -> Result<Start, OpenError> {
    let (magic, rest) = value.split_first_chunk::<8>().ok_or(OpenError::NotALog)?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or(OpenError::NotALog)?;
    if *magic != META_MAGIC {
        return Err(OpenError::NotALog);
    }
    match u32::from_le_bytes(*version) {
        META_VERSION => {}
        version => return Err(OpenError::Version(version)),
    }
    let (identity, rest) = rest.split_first_chunk::<16>().ok_or(OpenError::NotALog)?;
    let (first, before) = rest.split_first_chunk::<8>().ok_or(OpenError::NotALog)?;
    Ok(Start {
        identity: LogId(*identity),
        first: Seq(u64::from_le_bytes(*first)),
        before: before.try_into().map_err(|_| OpenError::NotALog)?,
    })
}

/// sled has no error of its own for a lock that somebody else holds.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
