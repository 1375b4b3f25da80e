//! The rows of the search: documents on the disk, and over them those that are not there yet. Both change
//! under one lock, so a reader sees every row as the last batch left it. Commits are dear (about 70 ms),
//! so rows wait until they are many or a second old; what a crash loses of them is folded in again from
//! the position in the payload of the last commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use domain::{Envelope, Seq};
use eventlog::{LogId, Record, Signal};
use tantivy::schema::Value as _;
use tantivy::{DocAddress, IndexWriter, Searcher, TantivyDocument};

use super::ask::Columns;
use super::document::{self, Document};
use super::folders::Folders;
use super::opened::{Opened, open, write_to};
use super::payload::Payload;
use super::stored::{Stretch, row_at, rows_of};
use crate::draft::{Changes, Draft, Keyed, Stored, Written, fold_batch};
use crate::letter::{self, DeadLetter};
use crate::projection::{ApplyError, Checkpoint};
use crate::rows::{Rows, Standing};
use crate::table::TableError;

/// Rows that wait for a commit; a batch more when one is large.
const WAITING_MOST: usize = 10_000;
/// Rows that wait while commits fail, such as on a full disk; with more of them the view stops.
const UNSETTLED_MOST: usize = 4 * WAITING_MOST;
/// How long a row waits, and a commit that failed.
const SETTLE_AFTER: Duration = Duration::from_secs(1);

/// The rows of the search, and the only one that writes them.
pub struct Index {
    name: &'static str,
    version: u32,
    folders: Folders,
    face: Face,
    writing: Mutex<Writing>,
    given_up: Option<String>,
}

/// The rows of the search, for those who read. A clone is another handle on the same rows.
#[derive(Clone)]
pub(super) struct Face {
    pub(super) columns: Columns,
    shared: Arc<Shared>,
}

struct Shared {
    live: RwLock<Live>,
    position: Signal,
}

/// What readers see.
pub(super) struct Live {
    number: u32,
    checkpoint: Option<Checkpoint>,
    pub(super) searcher: Searcher,
    /// Rows that the searcher does not see yet, or sees as they were.
    pub(super) waiting: BTreeMap<Vec<u8>, Waiting>,
}

/// A row that is to be written, or none where one is to be removed.
pub(super) struct Waiting {
    pub(super) row: Written,
    pub(super) documents: Vec<Document>,
}

struct Writing {
    index: tantivy::Index,
    /// `None` after a commit has failed, until the next is tried.
    writer: Option<IndexWriter>,
    reader: tantivy::IndexReader,
    /// When the first of those that wait has come.
    since: Option<Instant>,
    /// The rows of the last commit: what is changed was mostly changed just before.
    recent: Changes,
}

impl Index {
    /// Opens what is in service in `dir`, or begins.
    pub(super) fn open(dir: &Path, name: &'static str, version: u32) -> Result<Self, TableError> {
        let folders = Folders::open(dir)?;
        let serving = folders.serving()?;
        Self::numbered(name, version, folders, Columns::new(), serving)
    }

    fn numbered(
        name: &'static str,
        version: u32,
        folders: Folders,
        columns: Columns,
        number: u32,
    ) -> Result<Self, TableError> {
        let Opened { index, payload, given_up } = open(&folders.path(number), &columns)?;
        let reader = index.reader_builder().reload_policy(tantivy::ReloadPolicy::Manual);
        let reader: tantivy::IndexReader = reader.try_into()?;
        let checkpoint =
            payload.map(|Payload { seq, log, schema: _ }| Checkpoint { version, log, seq });
        let position = Signal::at(checkpoint.map_or(Seq(0), |checkpoint| checkpoint.seq));
        let searcher = reader.searcher();
        let live = Live { number, checkpoint, searcher, waiting: BTreeMap::new() };
        let writer = Some(write_to(&index)?);
        let writing = Writing { index, writer, reader, since: None, recent: Changes::new() };
        let shared = Arc::new(Shared { live: RwLock::new(live), position });
        let face = Face { columns, shared };
        Ok(Self { name, version, folders, face, writing: Mutex::new(writing), given_up })
    }

    /// A handle for those who read.
    pub(super) fn face(&self) -> Face {
        self.face.clone()
    }

    /// Folds a batch in, all or none.
    pub(super) fn apply(
        &self,
        batch: &[Record],
        fold: impl FnMut(&mut Draft<'_>, &Envelope) -> Result<(), TableError>,
    ) -> Result<(), ApplyError> {
        let mut writing = self.writing();
        let (changed, checkpoint) = {
            let live = self.face.read();
            let Some(mut checkpoint) = live.checkpoint else {
                let found = batch.first().map_or(Seq(0), |record| record.seq);
                return Err(ApplyError::Gap { after: Seq(0), found });
            };
            let under = Under { live: &live, columns: &self.face.columns, recent: &writing.recent };
            (fold_batch(self.name, &under, &mut checkpoint, batch, fold)?, checkpoint)
        };
        let waiting = changed.into_iter().map(|(key, row)| {
            let documents = row.as_deref().map(|row| document::of(&key, row)).transpose()?;
            Ok((key, Waiting { row, documents: documents.unwrap_or_default() }))
        });
        let waiting: Vec<_> = waiting.collect::<Result<_, TableError>>()?;
        let count = {
            let mut live = self.face.write();
            live.waiting.extend(waiting);
            live.checkpoint = Some(checkpoint);
            live.waiting.len()
        };
        writing.since.get_or_insert_with(Instant::now);
        drop(writing);
        self.face.shared.position.set(checkpoint.seq);
        if count >= WAITING_MOST {
            self.settle()?;
        }
        Ok(())
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn payload(&self, checkpoint: Checkpoint) -> String {
        let Checkpoint { version: _, log, seq } = checkpoint;
        Payload { seq, log, schema: self.face.columns.form() }.write()
    }
}

impl Face {
    // A panic elsewhere leaves no rows half-written: they change at once or not at all.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Live> {
        self.shared.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Live> {
        self.shared.live.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// How far they are.
    pub(super) fn seq(&self) -> Seq {
        self.checkpoint.map_or(Seq(0), |checkpoint| checkpoint.seq)
    }

    /// The row of a document on the disk.
    pub(super) fn row(&self, columns: &Columns, at: DocAddress) -> Result<Vec<u8>, TableError> {
        row_at(&self.searcher, columns, at)
    }
}

/// The writer, opened again when the last commit has failed.
fn ready<'a>(
    writer: &'a mut Option<IndexWriter>,
    index: &tantivy::Index,
) -> Result<&'a mut IndexWriter, TableError> {
    if writer.is_none() {
        *writer = Some(write_to(index)?);
    }
    Ok(writer.as_mut().expect("it was opened above"))
}

/// Commits what has been given to a writer, and says in the same breath how far that is.
fn commit(writer: &mut IndexWriter, payload: &str) -> Result<(), TableError> {
    let mut prepared = writer.prepare_commit()?;
    prepared.set_payload(payload);
    prepared.commit()?;
    Ok(())
}

/// The rows as the last batch left them.
struct Under<'a> {
    live: &'a Live,
    columns: &'a Columns,
    recent: &'a Changes,
}

impl Stored for Under<'_> {
    fn get(&self, key: &[u8]) -> Result<Written, TableError> {
        if let Some(waiting) = self.live.waiting.get(key) {
            return Ok(waiting.row.clone());
        }
        if let Some(row) = self.recent.get(key) {
            return Ok(row.clone());
        }
        let found = rows_of(&self.live.searcher, self.columns, Stretch::Only(key))?;
        Ok(found.into_values().next())
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Keyed>, TableError> {
        let mut rows = rows_of(&self.live.searcher, self.columns, Stretch::Begins(prefix))?;
        let waiting = self.live.waiting.range(prefix.to_vec()..);
        for (key, waiting) in waiting.take_while(|(key, _)| key.starts_with(prefix)) {
            match &waiting.row {
                Some(row) => rows.insert(key.clone(), row.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows.into_iter().collect())
    }
}

impl Standing for Index {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, TableError> {
        self.face.checkpoint()
    }

    fn position(&self) -> &Signal {
        self.face.position()
    }

    fn letters(&self, after: Seq, limit: usize) -> Result<Vec<DeadLetter>, TableError> {
        self.face.letters(after, limit)
    }
}

impl Standing for Face {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, TableError> {
        Ok(self.read().checkpoint)
    }

    fn position(&self) -> &Signal {
        &self.shared.position
    }

    fn letters(&self, after: Seq, limit: usize) -> Result<Vec<DeadLetter>, TableError> {
        let live = self.read();
        let under = Under { live: &live, columns: &self.columns, recent: &Changes::new() };
        let letters = under.scan(&[letter::PREFIX])?.into_iter();
        let letters = letters.filter_map(|(key, value)| DeadLetter::read(&key, &value));
        Ok(letters.filter(|letter| letter.seq > after).take(limit).collect())
    }
}

impl Rows for Index {
    fn standing(&self) -> Arc<dyn Standing> {
        Arc::new(self.face())
    }

    fn reset(&self, version: u32, log: LogId) -> Result<(), TableError> {
        let mut writing = self.writing();
        let checkpoint = Checkpoint { version, log, seq: Seq(0) };
        let Writing { index, writer, .. } = &mut *writing;
        let writer = ready(writer, index)?;
        writer.delete_all_documents()?;
        commit(writer, &self.payload(checkpoint))?;
        writing.reader.reload()?;
        (writing.since, writing.recent) = (None, Changes::new());
        {
            let mut live = self.face.write();
            live.searcher = writing.reader.searcher();
            live.waiting.clear();
            live.checkpoint = Some(checkpoint);
        }
        drop(writing);
        self.face.shared.position.set(Seq(0));
        Ok(())
    }

    fn given_up(&self) -> Option<String> {
        self.given_up.clone()
    }

    fn has_beside(&self) -> Result<bool, TableError> {
        Ok(self.folders.path(self.folders.serving()? + 1).exists())
    }

    fn beside(&self) -> Result<Self, TableError> {
        let (folders, next) = (self.folders.clone(), self.folders.serving()? + 1);
        Self::numbered(self.name, self.version, folders, self.face.columns.clone(), next)
    }

    fn drop_beside(&self) -> Result<(), TableError> {
        Ok(self.folders.remove(self.folders.serving()? + 1)?)
    }

    fn first_difference(&self, other: &Self) -> Result<Option<Vec<u8>>, TableError> {
        self.settle_now()?;
        other.settle_now()?;
        let (ours, theirs) = (self.face.read(), other.face.read());
        super::stored::first_difference(&self.face.columns, &ours.searcher, &theirs.searcher)
    }

    fn switch_to(&self, beside: &Self) -> Result<(), TableError> {
        beside.settle_now()?;
        self.folders.point_at(beside.face.read().number)?;
        let mut ours = self.writing();
        let mut theirs = beside.writing();
        std::mem::swap(&mut *ours, &mut *theirs);
        let (old, seq) = {
            let (mut live, mut new) = (self.face.write(), beside.face.write());
            std::mem::swap(&mut *live, &mut *new);
            (new.number, live.seq())
        };
        drop(ours);
        // It must not write any more where files are about to go.
        drop(theirs.writer.take());
        drop(theirs);
        self.face.shared.position.set(seq);
        Ok(self.folders.remove(old)?)
    }

    fn due(&self) -> Option<Instant> {
        self.writing().since.map(|since| since + SETTLE_AFTER)
    }

    fn settle(&self) -> Result<(), TableError> {
        // Rows that still wait answer as well, and what is due is tried again.
        match self.settle_now() {
            Err(error) if self.face.read().waiting.len() > UNSETTLED_MOST => Err(error),
            _ => Ok(()),
        }
    }
}

impl Index {
    fn settle_now(&self) -> Result<(), TableError> {
        let mut writing = self.writing();
        if writing.since.is_none() {
            return Ok(());
        }
        let settled = self.commit_waiting(&mut writing);
        if settled.is_err() {
            // What was given to it comes again with the next try, and would be there twice.
            drop(writing.writer.take());
            writing.since = Some(Instant::now());
        }
        settled
    }

    fn commit_waiting(&self, writing: &mut Writing) -> Result<(), TableError> {
        let Writing { index, writer, reader, since, recent } = writing;
        let writer = ready(writer, index)?;
        let payload = {
            let live = self.face.read();
            for (key, Waiting { row, documents }) in &live.waiting {
                writer.delete_term(tantivy::Term::from_field_bytes(self.face.columns.key, key));
                let Some(row) = row else { continue };
                if documents.is_empty() {
                    writer.add_document(self.face.columns.written(key, row, None))?;
                }
                for document in documents {
                    writer.add_document(self.face.columns.written(key, row, Some(document)))?;
                }
            }
            self.payload(live.checkpoint.expect("something was folded in, so it was begun"))
        };
        commit(writer, &payload)?;
        reader.reload()?;
        let mut live = self.face.write();
        live.searcher = reader.searcher();
        let settled = std::mem::take(&mut live.waiting);
        drop(live);
        *recent = settled.into_iter().map(|(key, waiting)| (key, waiting.row)).collect();
        *since = None;
        Ok(())
    }
}

/// A stored field.
pub(super) fn bytes(document: &TantivyDocument, field: tantivy::schema::Field) -> Option<Vec<u8>> {
    Some(document.get_first(field)?.as_bytes()?.to_vec())
}
