//! Rows of read models in sled: one tree per model, rows and checkpoint written in one batch, and
//! readers that see either all of a batch or none of it. What the rows mean is the models' business.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use domain::{Envelope, Seq};
use eventlog::{LogId, Signal};
use rkyv::rancor;

use crate::projection::{ApplyError, Checkpoint};

/// Largest row; see the limits in `schema/log.md`, which hold for every sled value of ours.
const ROW_MOST: usize = 48 * 1024;
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Rows need not be durable at once: what a crash loses is folded in again.
const FLUSH_EVERY_MS: u64 = 2_000;
/// How long a lock that this process left behind is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The first key of every tree.
const CHECKPOINT_KEY: &[u8] = &[0];
const CHECKPOINT_BYTES: usize = 28;

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The store refused.
    #[error("the store of the views refused")]
    Store(#[from] sled::Error),
    /// A stored row is not what was written; without the folder of the views it is made anew.
    #[error("a stored row of a view is damaged")]
    Row(#[source] rancor::Error),
    /// A row could not be archived.
    #[error("a row of a view could not be archived")]
    Archive(#[source] rancor::Error),
    /// A row outgrew its limit.
    #[error("a row of {0} bytes is larger than {ROW_MOST}")]
    TooLong(usize),
}

/// Something read, and the last event that it takes into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsOf<T> {
    /// The last event folded in when it was read.
    pub seq: Seq,
    /// What was read.
    pub value: T,
}

/// Where read models are kept. Not the log: losing it costs time and nothing else.
pub struct Store {
    db: sled::Db,
}

impl Store {
    /// Opens or creates the store in `dir`, which no one else may use.
    ///
    /// # Errors
    /// When it is in use or cannot be read. Deleting the folder then helps: it is made anew.
    pub fn open(dir: &Path) -> Result<Self, TableError> {
        let config = sled::Config::new()
            .path(dir)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let until = Instant::now() + LOCK_WAIT;
        loop {
            match config.open() {
                Ok(db) => return Ok(Self { db }),
                // sled's threads hold its lock for a moment after the last handle was dropped, and
                // it has no error of its own for that.
                Err(sled::Error::Io(io))
                    if io.to_string().contains("could not acquire lock")
                        && Instant::now() < until =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Throws a read model away by its [`crate::Projection::NAME`]; it is folded anew when it is
    /// opened next. It must not be open now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn discard(&self, name: &str) -> Result<(), TableError> {
        self.db.drop_tree(name)?;
        Ok(())
    }

    pub(crate) fn table(&self, name: &str) -> Result<Table, TableError> {
        let tree = self.db.open_tree(name)?;
        let checkpoint = tree.get(CHECKPOINT_KEY)?.and_then(|value| read_checkpoint(&value));
        let position = checkpoint.map_or(Seq(0), |checkpoint| checkpoint.seq);
        let shared = Shared { batch: RwLock::new(()), position: Signal::at(position) };
        Ok(Table { tree, shared: Arc::new(shared) })
    }
}

/// A row type: an rkyv archive that is validated when it is read.
pub(crate) trait Row: Sized {
    fn encode(&self) -> Result<Vec<u8>, TableError>;
    fn decode(bytes: &[u8]) -> Result<Self, TableError>;
}

/// Makes rkyv types rows. A blanket implementation would need a page of bounds.
macro_rules! rows {
    ($($row:ty),* $(,)?) => {$(
        impl $crate::table::Row for $row {
            fn encode(&self) -> Result<Vec<u8>, $crate::table::TableError> {
                rkyv::api::high::to_bytes_in(self, Vec::new())
                    .map_err($crate::table::TableError::Archive)
            }
            fn decode(bytes: &[u8]) -> Result<Self, $crate::table::TableError> {
                rkyv::from_bytes::<Self, rkyv::rancor::Error>(bytes)
                    .map_err($crate::table::TableError::Row)
            }
        }
    )*};
}
pub(crate) use rows;

/// The rows of one read model. A clone is another handle on the same rows.
#[derive(Clone)]
pub(crate) struct Table {
    tree: sled::Tree,
    shared: Arc<Shared>,
}

struct Shared {
    // Held for writing while a batch is applied: sled's own batches are atomic for single reads only.
    batch: RwLock<()>,
    position: Signal,
}

impl Table {
    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>, TableError> {
        Ok(self.tree.get(CHECKPOINT_KEY)?.and_then(|value| read_checkpoint(&value)))
    }

    /// The position as readers see it, and ways to wait for it.
    pub(crate) fn position(&self) -> &Signal {
        &self.shared.position
    }

    /// Removes every row, and stands before the first event of `log`.
    pub(crate) fn reset(&self, version: u32, log: LogId) -> Result<(), TableError> {
        let checkpoint = Checkpoint { version, log, seq: Seq(0) };
        {
            let _batch = self.shared.batch.write().unwrap_or_else(PoisonError::into_inner);
            // Without a checkpoint, what a crash leaves of the rest counts as nothing.
            self.tree.remove(CHECKPOINT_KEY)?;
            self.tree.clear()?;
            self.tree.insert(CHECKPOINT_KEY, write_checkpoint(checkpoint))?;
        }
        self.shared.position.set(Seq(0));
        Ok(())
    }

    /// Folds a batch in: `fold` sees the rows as the events before left them.
    pub(crate) fn apply(
        &self,
        batch: &[Envelope],
        mut fold: impl FnMut(&mut Draft<'_>, &Envelope) -> Result<(), TableError>,
    ) -> Result<(), ApplyError> {
        let Some(mut checkpoint) = self.checkpoint()? else {
            let found = batch.first().map_or(Seq(0), |envelope| envelope.seq);
            return Err(ApplyError::Gap { after: Seq(0), found });
        };
        let mut draft = Draft { tree: &self.tree, changed: BTreeMap::new() };
        for envelope in batch {
            if Some(envelope.seq.0) != checkpoint.seq.0.checked_add(1) {
                return Err(ApplyError::Gap { after: checkpoint.seq, found: envelope.seq });
            }
            fold(&mut draft, envelope)?;
            checkpoint.seq = envelope.seq;
        }
        let mut rows = sled::Batch::default();
        for (key, value) in draft.changed {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(key),
            }
        }
        rows.insert(CHECKPOINT_KEY, write_checkpoint(checkpoint));
        {
            let _batch = self.shared.batch.write().unwrap_or_else(PoisonError::into_inner);
            self.tree.apply_batch(rows).map_err(TableError::Store)?;
        }
        self.shared.position.set(checkpoint.seq);
        Ok(())
    }

    /// The rows between two batches. Keep it short: it holds the next batch up.
    pub(crate) fn snapshot(&self) -> Result<Snapshot<'_>, TableError> {
        let batch = self.shared.batch.read().unwrap_or_else(PoisonError::into_inner);
        let seq = self.checkpoint()?.map_or(Seq(0), |checkpoint| checkpoint.seq);
        Ok(Snapshot { tree: &self.tree, seq, _batch: batch })
    }
}

/// Rows that do not change while they are looked at.
pub(crate) struct Snapshot<'a> {
    tree: &'a sled::Tree,
    pub(crate) seq: Seq,
    _batch: RwLockReadGuard<'a, ()>,
}

impl Snapshot<'_> {
    pub(crate) fn get<R: Row>(&self, key: &[u8]) -> Result<Option<R>, TableError> {
        self.tree.get(key)?.map(|value| R::decode(&value)).transpose()
    }

    /// Rows whose key begins with `prefix`, in order, with what follows the prefix.
    pub(crate) fn scan<R: Row>(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, R)>, TableError> {
        let rows = self.tree.scan_prefix(prefix).map(|entry| {
            let (key, value) = entry?;
            Ok((key[prefix.len()..].to_vec(), R::decode(&value)?))
        });
        rows.collect()
    }

    /// Keys from `start` on that begin with `prefix`, at most `limit`.
    pub(crate) fn keys(
        &self,
        prefix: &[u8],
        start: Vec<u8>,
        limit: usize,
    ) -> Result<Vec<sled::IVec>, TableError> {
        let keys = self.tree.range(start..).keys().take(limit);
        let ours = keys.take_while(|key| key.as_ref().is_ok_and(|key| key.starts_with(prefix)));
        Ok(ours.collect::<Result<_, _>>()?)
    }
}

/// Rows as they will be once the batch at hand is committed.
pub(crate) struct Draft<'a> {
    tree: &'a sled::Tree,
    changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Draft<'_> {
    pub(crate) fn get<R: Row>(&self, key: &[u8]) -> Result<Option<R>, TableError> {
        match self.changed.get(key) {
            Some(value) => value.as_deref().map(R::decode).transpose(),
            None => self.tree.get(key)?.map(|value| R::decode(&value)).transpose(),
        }
    }

    pub(crate) fn put<R: Row>(&mut self, key: &[u8], row: &R) -> Result<(), TableError> {
        let value = row.encode()?;
        if value.len() > ROW_MOST {
            return Err(TableError::TooLong(value.len()));
        }
        self.changed.insert(key.to_vec(), Some(value));
        Ok(())
    }

    /// Writes a key that says all by itself.
    pub(crate) fn mark(&mut self, key: &[u8]) {
        self.changed.insert(key.to_vec(), Some(Vec::new()));
    }

    pub(crate) fn is_marked(&self, key: &[u8]) -> Result<bool, TableError> {
        match self.changed.get(key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.tree.contains_key(key)?),
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.changed.insert(key.to_vec(), None);
    }

    /// Changes a row if there is one.
    pub(crate) fn update<R: Row>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut R),
    ) -> Result<(), TableError> {
        match self.get::<R>(key)? {
            Some(mut row) => {
                change(&mut row);
                self.put(key, &row)
            }
            None => Ok(()),
        }
    }

    /// Rows whose key begins with `prefix`, in order, with their whole keys.
    pub(crate) fn scan<R: Row>(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, R)>, TableError> {
        let mut rows = BTreeMap::new();
        for entry in self.tree.scan_prefix(prefix) {
            let (key, value) = entry?;
            rows.insert(key.to_vec(), value.to_vec());
        }
        let later = self.changed.range(prefix.to_vec()..);
        for (key, value) in later.take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        rows.into_iter().map(|(key, value)| Ok((key, R::decode(&value)?))).collect()
    }
}

// By hand and not by rkyv: it must stay readable when everything else about a view changes.
fn write_checkpoint(checkpoint: Checkpoint) -> Vec<u8> {
    let mut value = checkpoint.version.to_le_bytes().to_vec();
    value.extend_from_slice(&checkpoint.log.0);
    value.extend_from_slice(&checkpoint.seq.0.to_le_bytes());
    value
}

/// `None` for anything unknown, which is as good as no checkpoint.
fn read_checkpoint(value: &[u8]) -> Option<Checkpoint> {
    let value: &[u8; CHECKPOINT_BYTES] = value.try_into().ok()?;
    let (version, rest) = value.split_first_chunk::<4>()?;
    let (log, seq) = rest.split_first_chunk::<16>()?;
    Some(Checkpoint {
        version: u32::from_le_bytes(*version),
        log: LogId(*log),
        seq: Seq(u64::from_le_bytes(seq.try_into().ok()?)),
    })
}
