//! Rows of read models in sled: rows and checkpoint written in one batch, and readers that see either
//! all of a batch or none of it. What the rows mean is the models' business; which of two foldings
//! answers is kept in `generation`.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use domain::{Envelope, Seq};
use eventlog::{LogId, Record, Signal};
use rkyv::rancor;

use crate::draft::{Draft, Keyed, Stored, Written, fold_batch};
use crate::generation::{self, Generation, Generations};
use crate::letter::{self, DeadLetter};
use crate::projection::{ApplyError, Checkpoint};
use crate::rows::{Rows, Standing};

/// Largest row; see the limits in `schema/log.md`, which hold for every sled value of ours.
pub(crate) const ROW_MOST: usize = 48 * 1024;
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// Rows need not be durable at once: what a crash loses is folded in again.
const FLUSH_EVERY_MS: u64 = 2_000;
/// How long a lock that this process left behind is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The first key of every tree; dead letters come next.
const CHECKPOINT_KEY: &[u8] = &[letter::PREFIX];
const FIRST_ROW: &[u8] = &[letter::PREFIX + 1];
const CHECKPOINT_BYTES: usize = 28;

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The store refused.
    #[error("the store of the views refused")]
    Store(#[from] sled::Error),
    /// The index of the search refused.
    #[error("the index of the search refused")]
    Index(#[source] Box<tantivy::TantivyError>),
    /// The folder of the search could not be used.
    #[error("the folder of the search could not be used")]
    Folder(#[from] std::io::Error),
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

impl From<tantivy::TantivyError> for TableError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Index(Box::new(error))
    }
}

impl TableError {
    /// Whether the event at hand is to blame, and not the store.
    pub(crate) const fn is_of_event(&self) -> bool {
        match self {
            Self::Archive(_) | Self::TooLong(_) => true,
            Self::Store(_) | Self::Index(_) | Self::Folder(_) | Self::Row(_) => false,
        }
    }
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
    /// Removes the store in `dir`, which nobody has open, with all that it remembers. A folder that holds
    /// none stays.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(dir: &Path) -> std::io::Result<()> {
        // sled keeps it in every store.
        if dir.join("conf").is_file() { std::fs::remove_dir_all(dir) } else { Ok(()) }
    }

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

    /// A store that is gone with the last of its read models.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn temporary() -> Result<Self, TableError> {
        let config = sled::Config::new().temporary(true).flush_every_ms(None);
        Ok(Self { db: config.cache_capacity(CACHE_BYTES).open()? })
    }

    /// Throws a read model away by its [`crate::Projection::NAME`]; it is folded anew when it is
    /// opened next. It must not be open now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn discard(&self, name: &str) -> Result<(), TableError> {
        generation::forget(&self.db, name)
    }

    pub(crate) fn table(&self, name: &'static str) -> Result<Table, TableError> {
        let generations = Generations::open(&self.db, name)?;
        let serving = generations.serving()?;
        Table::new(generations, serving)
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
pub struct Table {
    generations: Generations,
    shared: Arc<Shared>,
}

struct Shared {
    // Held for writing while a batch is applied, because sled's own batches are atomic for single
    // reads only, and while other rows are put in service.
    rows: RwLock<Generation>,
    position: Signal,
}

impl Table {
    fn new(generations: Generations, rows: Generation) -> Result<Self, TableError> {
        let position = checkpoint_of(&rows.tree)?.map_or(Seq(0), |checkpoint| checkpoint.seq);
        let shared = Shared { rows: RwLock::new(rows), position: Signal::at(position) };
        Ok(Self { generations, shared: Arc::new(shared) })
    }

    /// Folds a batch in, all or none.
    pub(crate) fn apply(
        &self,
        batch: &[Record],
        fold: impl FnMut(&mut Draft<'_>, &Envelope) -> Result<(), TableError>,
    ) -> Result<(), ApplyError> {
        let Some(mut checkpoint) = checkpoint_of(&self.read().tree)? else {
            let found = batch.first().map_or(Seq(0), |record| record.seq);
            return Err(ApplyError::Gap { after: Seq(0), found });
        };
        // A handle and not the lock, so that rows can be read while events are folded.
        let tree = self.read().tree.clone();
        let view = self.generations.view();
        let changed = fold_batch(view, &tree, &mut checkpoint, batch, fold)?;
        let mut rows = sled::Batch::default();
        for (key, value) in changed {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(key),
            }
        }
        rows.insert(CHECKPOINT_KEY, write_checkpoint(checkpoint));
        {
            let held = self.write();
            held.tree.apply_batch(rows).map_err(TableError::Store)?;
        }
        self.shared.position.set(checkpoint.seq);
        Ok(())
    }

    /// The rows between two batches. Keep it short: it holds the next batch up.
    pub(crate) fn snapshot(&self) -> Result<Snapshot<'_>, TableError> {
        let rows = self.read();
        let seq = checkpoint_of(&rows.tree)?.map_or(Seq(0), |checkpoint| checkpoint.seq);
        Ok(Snapshot { rows, seq })
    }

    // A panic elsewhere leaves no rows half-written: they change by one batch or not at all.
    fn read(&self) -> RwLockReadGuard<'_, Generation> {
        self.shared.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generation> {
        self.shared.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing for Table {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, TableError> {
        checkpoint_of(&self.read().tree)
    }

    fn position(&self) -> &Signal {
        &self.shared.position
    }

    fn letters(&self, after: Seq, limit: usize) -> Result<Vec<DeadLetter>, TableError> {
        letters_of(&self.read().tree, after, limit)
    }
}

impl Rows for Table {
    fn standing(&self) -> Arc<dyn Standing> {
        Arc::new(self.clone())
    }

    fn reset(&self, version: u32, log: LogId) -> Result<(), TableError> {
        let checkpoint = Checkpoint { version, log, seq: Seq(0) };
        {
            let rows = self.write();
            // Without a checkpoint, what a crash leaves of the rest counts as nothing.
            rows.tree.remove(CHECKPOINT_KEY)?;
            rows.tree.clear()?;
            rows.tree.insert(CHECKPOINT_KEY, write_checkpoint(checkpoint))?;
        }
        self.shared.position.set(Seq(0));
        Ok(())
    }

    fn given_up(&self) -> Option<String> {
        None
    }

    fn has_beside(&self) -> Result<bool, TableError> {
        self.generations.has_next()
    }

    fn beside(&self) -> Result<Self, TableError> {
        Self::new(self.generations.clone(), self.generations.next()?)
    }

    fn drop_beside(&self) -> Result<(), TableError> {
        self.generations.drop_next()
    }

    fn first_difference(&self, other: &Self) -> Result<Option<Vec<u8>>, TableError> {
        let (ours, theirs) = (self.read().tree.clone(), other.read().tree.clone());
        let (mut ours, mut theirs) = (ours.range(FIRST_ROW..), theirs.range(FIRST_ROW..));
        loop {
            match (ours.next().transpose()?, theirs.next().transpose()?) {
                (None, None) => return Ok(None),
                (Some(our), Some(their)) if our == their => {}
                (Some((our, _)), Some((their, _))) => return Ok(Some(our.min(their).to_vec())),
                (Some((key, _)), None) | (None, Some((key, _))) => return Ok(Some(key.to_vec())),
            }
        }
    }

    fn switch_to(&self, beside: &Self) -> Result<(), TableError> {
        // Outside the lock, because readers need not wait for the disk.
        self.generations.flush()?;
        let (old, seq) = {
            let mut serving = self.write();
            let new = beside.read().clone();
            self.generations.point_at(&new)?;
            let seq = checkpoint_of(&new.tree)?.map_or(Seq(0), |checkpoint| checkpoint.seq);
            (std::mem::replace(&mut *serving, new), seq)
        };
        self.shared.position.set(seq);
        self.generations.retire(&old)
    }

    // sled settles by itself; see `FLUSH_EVERY_MS`.
    fn due(&self) -> Option<Instant> {
        None
    }

    fn settle(&self) -> Result<(), TableError> {
        Ok(())
    }
}

impl Stored for sled::Tree {
    fn get(&self, key: &[u8]) -> Result<Written, TableError> {
        Ok(sled::Tree::get(self, key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Keyed>, TableError> {
        let rows = self.scan_prefix(prefix).map(|entry| {
            let (key, value) = entry?;
            Ok((key.to_vec(), value.to_vec()))
        });
        rows.collect()
    }
}

fn checkpoint_of(tree: &sled::Tree) -> Result<Option<Checkpoint>, TableError> {
    Ok(tree.get(CHECKPOINT_KEY)?.and_then(|value| read_checkpoint(&value)))
}

fn letters_of(tree: &sled::Tree, after: Seq, limit: usize) -> Result<Vec<DeadLetter>, TableError> {
    let mut letters = Vec::new();
    let after = letter::key(Seq(after.0.saturating_add(1)));
    for entry in tree.range(after.as_slice()..FIRST_ROW).take(limit) {
        let (key, value) = entry?;
        letters.extend(DeadLetter::read(&key, &value));
    }
    Ok(letters)
}

/// Rows that do not change while they are looked at.
pub(crate) struct Snapshot<'a> {
    rows: RwLockReadGuard<'a, Generation>,
    pub(crate) seq: Seq,
}

impl Snapshot<'_> {
    pub(crate) fn get<R: Row>(&self, key: &[u8]) -> Result<Option<R>, TableError> {
        self.rows.tree.get(key)?.map(|value| R::decode(&value)).transpose()
    }

    /// Rows whose key begins with `prefix`, in order, with what follows the prefix.
    pub(crate) fn scan<R: Row>(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, R)>, TableError> {
        let rows = self.rows.tree.scan_prefix(prefix).map(|entry| {
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
        let keys = self.rows.tree.range(start..).keys().take(limit);
        let ours = keys.take_while(|key| key.as_ref().is_ok_and(|key| key.starts_with(prefix)));
        Ok(ours.collect::<Result<_, _>>()?)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use domain::{Event, Input, Timestamp};
    use eventlog::{Schema, Stream};
    use rkyv::{Archive, Deserialize, Serialize};

    use super::*;

    #[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
    struct Words(String);

    rows!(Words);

    /// A node's start, which every program knows.
    fn records(count: u64) -> Vec<Record> {
        let event = Event::Input(Input::Observation(domain::Observation::SessionOpened));
        let (schema, payload): (Schema, _) = eventlog::encode(&event).unwrap();
        let record = |seq| Record {
            seq: Seq(seq),
            at: Timestamp(seq),
            cause: Seq(seq),
            correlation: Seq(seq),
            stream: Stream::of(&event),
            revision: seq,
            schema,
            digest: None,
            command: None,
            payload: payload.clone(),
        };
        (1..=count).map(record).collect()
    }

    #[test]
    fn an_event_that_fails_halfway_changes_nothing_and_is_a_dead_letter() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let table = store.table("view").unwrap();
        table.reset(1, LogId([0; 16])).unwrap();
        let words = |words: &str| Words(words.to_owned());
        table
            .apply(&records(3), |draft, envelope| {
                draft.put(&[1], &words(&envelope.seq.to_string()))?;
                if envelope.seq == Seq(2) {
                    draft.remove(&[1]);
                    draft.put(&[2], &words("of the second"))?;
                    draft.put(&[3], &words(&"x".repeat(ROW_MOST)))?;
                }
                draft.put(&[4, envelope.seq.0 as u8], &words("done"))
            })
            .unwrap();
        let rows = table.snapshot().unwrap();
        assert_eq!(rows.get(&[1]).unwrap(), Some(words("3")));
        assert_eq!(rows.get::<Words>(&[2]).unwrap(), None);
        let done: Vec<_> = rows.scan::<Words>(&[4]).unwrap().into_iter().map(|row| row.0).collect();
        assert_eq!((rows.seq, done), (Seq(3), vec![vec![1], vec![3]]));
        let letters = letters_of(&rows.rows.tree, Seq(0), 9).unwrap();
        assert_eq!((letters.len(), letters[0].seq), (1, Seq(2)));
        assert!(letters[0].reason.ends_with("is larger than 49152"), "{letters:?}");
    }

    #[test]
    fn a_damaged_row_stops_the_view() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let table = store.table("view").unwrap();
        table.reset(1, LogId([0; 16])).unwrap();
        table.read().tree.insert([1], b"?").unwrap();
        let read = |draft: &mut Draft<'_>, _: &Envelope| draft.get::<Words>(&[1]).map(drop);
        assert!(matches!(
            table.apply(&records(1), read),
            Err(ApplyError::Table(TableError::Row(_)))
        ));
        assert_eq!(table.checkpoint().unwrap().unwrap().seq, Seq(0));
    }
}
