//! How blocks lie in sled, and what makes them durable. What is in a block is `block`'s.
//!
//! ```text
//! tree "meta"    log                    -> RPRSELOG | version u32 | identity, 16 bytes
//! tree "blocks"  first u64 | part u16   -> at most 48 KiB of the block that begins with event first
//! ```
//! Keys are big-endian, so that sled's order is the log's.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::Seq;

use crate::block::{self, Block};
use crate::damage::Damage;
use crate::identity::LogId;
use crate::log::OpenError;
use crate::reader::ReadError;

/// Largest value. sled moves a leaf page of more than a quarter segment into a file that it never
/// syncs, and a leaf holds up to 17 values: 17 x 48 KiB stays below a quarter of [`SEGMENT_BYTES`].
pub(crate) const PART_BYTES: usize = 48 * 1024;

/// Cannot change for a log that exists.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// How long a lock left by this process is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

const META_KEY: &[u8] = b"log";
const META_MAGIC: [u8; 8] = *b"RPRSELOG";
const META_VERSION: u32 = 1;

/// The open store of one log.
pub(crate) struct Store {
    db: sled::Db,
    pub(crate) blocks: sled::Tree,
    pub(crate) identity: LogId,
    // sled's own flush only hands bytes to the kernel; this second handle makes them durable.
    file: File,
    // Tells at once that somebody else has the log, which sled's own lock does not: see `open_db`.
    // A log that was copied may be without it.
    _lock: Option<File>,
}

impl Store {
    /// Opens or creates the store in `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir).map_err(failed("create the folder of"))?;
        let lock = File::create(dir.join("lock")).map_err(failed("create the lock of"))?;
        hold(&lock)?;
        let db = open_db(dir)?;
        let file = File::open(dir.join("db")).map_err(failed("open the file of"))?;
        let meta = db.open_tree("meta")?;
        let blocks = db.open_tree("blocks")?;
        let identity = match read_identity(&meta, &blocks)? {
            Some(identity) => identity,
            None => {
                let identity = LogId::draw(dir);
                meta.insert(META_KEY, write_meta(identity))?;
                db.flush()?;
                file.sync_data().map_err(failed("sync"))?;
                // The names of the new files are durable only once their folders are.
                sync_folder(dir).map_err(failed("sync the folder of"))?;
                identity
            }
        };
        Ok(Self { db, blocks, identity, file, _lock: Some(lock) })
    }

    /// Opens the store in `dir` if there is one, and leaves the folder alone if there is none.
    pub(crate) fn open_existing(dir: &Path) -> Result<Self, OpenError> {
        // sled makes whatever it does not find.
        for name in ["conf", "db"] {
            let found = existing(std::fs::metadata(dir.join(name))).map_err(failed("find"))?;
            if !found.is_some_and(|found| found.is_file() && found.len() > 0) {
                return Err(OpenError::NotALog);
            }
        }
        let lock = existing(File::open(dir.join("lock"))).map_err(failed("open the lock of"))?;
        lock.as_ref().map_or(Ok(()), hold)?;
        let db = open_db(dir)?;
        let file = File::open(dir.join("db")).map_err(failed("open the file of"))?;
        let trees = db.tree_names();
        if ["meta", "blocks"].iter().any(|ours| !trees.iter().any(|tree| tree == ours)) {
            return Err(OpenError::NotALog);
        }
        let blocks = db.open_tree("blocks")?;
        let identity = read_identity(&db.open_tree("meta")?, &blocks)?.ok_or(OpenError::NotALog)?;
        Ok(Self { db, blocks, identity, file, _lock: lock })
    }

    /// Writes blocks in one atomic step; they are durable when this returns.
    pub(crate) fn commit(&self, blocks: &[(Seq, Vec<u8>)]) -> Result<(), CommitError> {
        let mut batch = sled::Batch::default();
        for (first, bytes) in blocks {
            for (part, value) in (0u16..).zip(bytes.chunks(PART_BYTES)) {
                batch.insert(&key(*first, part), value);
            }
        }
        self.blocks.apply_batch(batch)?;
        self.db.flush()?;
        self.file.sync_data()?;
        Ok(())
    }
}

/// Why blocks are not known to be durable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error(transparent)]
    Store(#[from] sled::Error),
    #[error(transparent)]
    Sync(#[from] io::Error),
}

/// The block that begins with `first`; `None` when there is none.
pub(crate) fn block_from(blocks: &sled::Tree, first: Seq) -> Result<Option<Block>, ReadError> {
    let damaged = |damage| ReadError::Damaged { seq: first, damage };
    let Some(value) = blocks.get(key(first, 0))? else { return Ok(None) };
    let length = block::announced_len(&value).map_err(damaged)?;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&value);
    for part in 1..parts(length) {
        let value = blocks.get(key(first, part))?;
        bytes.extend_from_slice(&value.ok_or_else(|| damaged(Damage::PartMissing(part)))?);
    }
    let block = Block::check(bytes, first);
    block.map(Some).map_err(|(seq, damage)| ReadError::Damaged { seq, damage })
}

/// The first event of the block that holds `seq`, or that would hold it if nothing is missing.
pub(crate) fn first_of(blocks: &sled::Tree, seq: Seq) -> Result<Option<Seq>, ReadError> {
    match blocks.range(..=key(seq, u16::MAX)).next_back() {
        Some(entry) => read_key(&entry?.0, seq).map(|(first, _)| Some(first)),
        None => Ok(None),
    }
}

/// Number of values that a block of `length` bytes is cut into.
pub(crate) fn parts(length: usize) -> u16 {
    u16::try_from(length.div_ceil(PART_BYTES)).expect("a block of 16 MiB has 342 parts")
}

pub(crate) fn key(first: Seq, part: u16) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&first.0.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Takes a key apart; `near` is the position to blame when it is not one of ours.
pub(crate) fn read_key(key: &[u8], near: Seq) -> Result<(Seq, u16), ReadError> {
    let stray = ReadError::Damaged { seq: near, damage: Damage::StrayKey };
    let (first, part) = key.split_first_chunk::<8>().ok_or(stray)?;
    match part {
        [high, low] => Ok((Seq(u64::from_be_bytes(*first)), u16::from_be_bytes([*high, *low]))),
        _ => Err(ReadError::Damaged { seq: near, damage: Damage::StrayKey }),
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { what, source }
}

/// What was found; `None` when there is nothing by that name.
pub(crate) fn existing<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match found {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        found => found.map(Some),
    }
}

fn hold(lock: &File) -> Result<(), OpenError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(TryLockError::Error(source)) => Err(failed("lock")(source)),
    }
}

/// The identity of a store; `None` while it holds nothing at all.
fn read_identity(meta: &sled::Tree, blocks: &sled::Tree) -> Result<Option<LogId>, OpenError> {
    match meta.get(META_KEY)? {
        Some(value) => read_meta(&value).map(Some),
        None if blocks.is_empty() => Ok(None),
        None => Err(OpenError::NoIdentity),
    }
}

fn write_meta(identity: LogId) -> Vec<u8> {
    let mut value = META_MAGIC.to_vec();
    value.extend_from_slice(&META_VERSION.to_le_bytes());
    value.extend_from_slice(&identity.0);
    value
}

fn read_meta(value: &[u8]) -> Result<LogId, OpenError> {
    let (magic, rest) = value.split_first_chunk::<8>().ok_or(OpenError::NotALog)?;
    let (version, id) = rest.split_first_chunk::<4>().ok_or(OpenError::NotALog)?;
    if *magic != META_MAGIC {
        return Err(OpenError::NotALog);
    }
    match u32::from_le_bytes(*version) {
        META_VERSION => id.try_into().map(LogId).map_err(|_| OpenError::NotALog),
        version => Err(OpenError::Version(version)),
    }
}

/// Opens sled. Its threads may hold its lock for a moment after the last handle of this process was
/// dropped, so a lock that is taken is waited for.
fn open_db(dir: &Path) -> Result<sled::Db, OpenError> {
    let config = sled::Config::new()
        .path(dir)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(error) if !is_locked(&error) => return Err(OpenError::Store(error)),
            Err(_) if Instant::now() >= until => return Err(OpenError::InUse),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// sled has no error of its own for a lock that somebody else holds.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()?;
    match dir.canonicalize()?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
