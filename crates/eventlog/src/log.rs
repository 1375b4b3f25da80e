//! The one writer: takes steps, gives them positions, and returns when they are durable. It never
//! changes or removes what was written. Reading is [`crate::Reader`]'s.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use domain::{Event, Seq, Timestamp};

use crate::block::{BLOCK_MOST, Draft, OVERHEAD};
use crate::frame::{self, EncodeError};
use crate::identity::LogId;
use crate::mark::Mark;
use crate::reader::{ReadError, Reader};
use crate::signal::Signal;
use crate::store::{self, CommitError, Store};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another log of this process, has it open.
    #[error("the log is in use by another process")]
    InUse,
    /// The file system refused.
    #[error("could not {what} the log")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The store refused.
    #[error("the store of the log could not be opened")]
    Store(#[from] sled::Error),
    /// The folder holds something else.
    #[error("the folder holds no event log")]
    NotALog,
    /// There are events but no identity: the log was tampered with.
    #[error("the log has events but no identity")]
    NoIdentity,
    /// It was written by a newer program.
    #[error("the log has format version {0}, which this program does not know")]
    Version(u32),
    /// The end of the log is damaged.
    #[error("the log is damaged")]
    Damaged(#[from] ReadError),
}

/// Why steps were not acknowledged. Whether they are in the log shows only after opening it anew;
/// this writer takes no more.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// An append before this one failed.
    #[error("the log stopped at an earlier failure and has to be opened again")]
    Poisoned,
    /// A step does not begin with its input, or has a second one.
    #[error("step {index} of the batch is not one input followed by decisions")]
    Shape {
        /// Place of the step in the batch, from 0.
        index: usize,
    },
    /// A step has more events or bytes than a commit may have.
    #[error("step {index} of the batch is larger than {BLOCK_MOST} bytes")]
    TooLong {
        /// Place of the step in the batch, from 0.
        index: usize,
    },
    /// The positions are used up.
    #[error("the log has no position left")]
    Full,
    /// An event could not be written down.
    #[error("an event could not be encoded")]
    Encode(#[from] EncodeError),
    /// The store refused.
    #[error("the store of the log refused a commit")]
    Store(#[source] sled::Error),
    /// The disk did not confirm.
    #[error("the disk did not confirm a commit")]
    Sync(#[source] io::Error),
}

/// One step to be recorded: an input and what was concluded from it.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// When the input entered.
    pub at: Timestamp,
    /// The input, then the decisions it caused.
    pub events: &'a [Event],
}

/// The writer. There is one per log; a lock on the store keeps other processes out.
pub struct Log {
    store: Store,
    mark: Mark,
    durable: Arc<Signal>,
    last: Seq,
    hash: [u8; 32],
    poisoned: bool,
}

impl Log {
    /// Opens the log in `dir`, creating it if there is none, and checks its last block. The store
    /// stays open, and locked, until the log and all its readers are dropped.
    ///
    /// # Errors
    /// When the log is in use, of another format, or damaged at its end.
    pub fn open(dir: &Path) -> Result<(Self, Reader), OpenError> {
        let store = Store::open(dir)?;
        let (last, hash) = end(&store)?;
        let mut mark = Mark::open(dir).map_err(mark_failed)?;
        mark.check(last, &hash)?;
        let durable = Arc::new(Signal::at(last));
        let reader = Reader::new(store.blocks.clone(), store.identity, Arc::clone(&durable));
        Ok((Self { store, mark, durable, last, hash, poisoned: false }, reader))
    }

    /// Opens the log in `dir` to read it, with the same checks. Where there is none, none is made.
    ///
    /// # Errors
    /// As [`Log::open`], and [`OpenError::NotALog`] where there is none.
    pub fn read(dir: &Path) -> Result<Reader, OpenError> {
        let mut mark = Mark::open_existing(dir).map_err(mark_failed)?;
        let mut check = |last, hash| mark.as_mut().map_or(Ok(()), |mark| mark.check(last, hash));
        let store = match Store::open_existing(dir) {
            Err(OpenError::NotALog) => {
                // What held events once is a log that lost them.
                check(Seq(0), &[0; 32])?;
                return Err(OpenError::NotALog);
            }
            store => store?,
        };
        let (last, hash) = end(&store)?;
        check(last, &hash)?;
        Ok(Reader::new(store.blocks, store.identity, Arc::new(Signal::at(last))))
    }

    /// Which log this is.
    #[must_use]
    pub fn identity(&self) -> LogId {
        self.store.identity
    }

    /// Appends steps in order, all or none, and returns their positions once they are durable. The
    /// steps follow each other without a gap, so the position of each follows from their lengths.
    ///
    /// # Errors
    /// After any error the writer takes nothing more: what the caller concluded and what the disk
    /// holds may differ, and only opening the log anew tells.
    pub fn append(&mut self, steps: &[Step<'_>]) -> Result<Range<Seq>, AppendError> {
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(AppendError::Poisoned);
        }
        let first = self.last.0.checked_add(1).map(Seq).ok_or(AppendError::Full)?;
        let batch = Batch::build(steps, first, self.hash)?;
        if !batch.blocks.is_empty() {
            self.store.commit(&batch.blocks).map_err(|error| match error {
                CommitError::Store(error) => AppendError::Store(error),
                CommitError::Sync(error) => AppendError::Sync(error),
            })?;
            self.last = Seq(batch.next.0 - 1);
            self.hash = batch.hash;
            self.mark.set(self.last, &self.hash).map_err(AppendError::Sync)?;
            self.durable.set(self.last);
        }
        self.poisoned = false;
        Ok(first..batch.next)
    }

    /// Calls `hook` with the last durable position after each append; see [`Signal::on_change`].
    pub fn on_durable(&self, hook: impl Fn(Seq) -> bool + Send + 'static) {
        self.durable.on_change(hook);
    }
}

/// The last event, and the hash of the block it is in.
fn end(store: &Store) -> Result<(Seq, [u8; 32]), OpenError> {
    let Some(entry) = store.blocks.iter().next_back() else {
        return Ok((Seq(0), store.identity.chain_start()));
    };
    let (first, _) = store::read_key(&entry?.0, Seq(0))?;
    let block = Reader::linked_block(&store.blocks, store.identity, first)?;
    Ok((block.last(), block.hash()))
}

fn mark_failed(source: io::Error) -> OpenError {
    OpenError::Io { what: "open the mark of", source }
}

/// Blocks ready to be committed together.
struct Batch {
    blocks: Vec<(Seq, Vec<u8>)>,
    next: Seq,
    hash: [u8; 32],
}

impl Batch {
    fn build(steps: &[Step<'_>], first: Seq, hash: [u8; 32]) -> Result<Self, AppendError> {
        let mut batch = Self { blocks: Vec::new(), next: first, hash };
        let mut draft = Draft::new(first, hash);
        let mut frames = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let cause = batch.next;
            let Some((Event::Input(_), decisions)) = step.events.split_first() else {
                return Err(AppendError::Shape { index });
            };
            if decisions.iter().any(|event| matches!(event, Event::Input(_))) {
                return Err(AppendError::Shape { index });
            }
            let count =
                u32::try_from(step.events.len()).map_err(|_| AppendError::TooLong { index })?;
            frames.clear();
            for event in step.events {
                frame::push(&mut frames, batch.next, step.at, cause, event)?;
                batch.next = batch.next.0.checked_add(1).map(Seq).ok_or(AppendError::Full)?;
                if frames.len() > BLOCK_MOST - OVERHEAD {
                    return Err(AppendError::TooLong { index });
                }
            }
            // A step is never split: whoever reads a block reads whole steps.
            if !draft.has_room(frames.len()) {
                batch.close(draft);
                draft = Draft::new(cause, batch.hash);
            }
            draft.push(&frames, count);
        }
        if !draft.is_empty() {
            batch.close(draft);
        }
        Ok(batch)
    }

    fn close(&mut self, draft: Draft) {
        let first = draft.first();
        let (bytes, hash) = draft.finish();
        self.blocks.push((first, bytes));
        self.hash = hash;
    }
}
