//! Jobs as people see them: what state each is in, what it waits for, and what can be done about it.
//! Folded in `fold`, put together for reading in `compose`, worded in `advice`. What led to a state
//! is [`crate::trace`]'s.
//!
//! ```text
//! 1                                          -> node
//! 2 | job u32                                -> job
//! 3 | job u32 | track u16                    -> track
//! 4 | job u32 | track u16 | source u32       -> source
//! 5 | job u32 | track u16 | refusal u32      -> refusal
//! 6 | peer                                   -> until when it rests
//! ```
//! Many small rows and not one per job: a job with 64 sources a track outgrows the limit of a value.

use domain::{JobId, PeerId, TrackKey};
use eventlog::Signal;

use crate::foreign;
use crate::projection::{Projection as _, folded};
use crate::rows::Standing as _;
use crate::table::{AsOf, Store, Table, TableError};

mod advice;
mod compose;
pub(crate) mod fold;
pub(crate) mod rows;
mod view;

pub use rows::{JobState, SourceState, TrackState};
pub use view::{JobHead, JobView, NodeView, RefusalView, SourceView, TrackView};

/// The jobs being folded.
pub struct Jobs {
    table: Table,
}

impl Jobs {
    /// Opens the rows, and a view on them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(store: &Store) -> Result<(Self, View), TableError> {
        let table = store.table(Self::NAME)?;
        Ok((Self { table: table.clone() }, View { table }))
    }
}

folded!(Jobs, "jobs", version 2, readable since 2, by fold::fold);

/// Reads jobs. Cheap to clone.
#[derive(Clone)]
pub struct View {
    table: Table,
}

impl View {
    /// The last event folded in, and ways to wait for later ones.
    #[must_use]
    pub fn position(&self) -> &Signal {
        self.table.position()
    }

    /// All jobs without their tracks, in the order of acceptance: what a list shows.
    ///
    /// # Errors
    /// When the store fails.
    pub fn heads(&self) -> Result<AsOf<Vec<JobHead>>, TableError> {
        let snapshot = self.table.snapshot()?;
        Ok(AsOf { seq: snapshot.seq, value: compose::heads(&snapshot)? })
    }

    /// All jobs with everything, in the order of acceptance. Costs a read of every source of every
    /// track; a list is better served by [`Self::heads`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn all(&self) -> Result<AsOf<Vec<JobView>>, TableError> {
        let snapshot = self.table.snapshot()?;
        let jobs = compose::heads(&snapshot)?.into_iter();
        let value = jobs.map(|head| compose::job(&snapshot, head)).collect::<Result<_, _>>()?;
        Ok(AsOf { seq: snapshot.seq, value })
    }

    /// One job with everything; `None` when there is none of this number.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get(&self, job: JobId) -> Result<AsOf<Option<JobView>>, TableError> {
        let snapshot = self.table.snapshot()?;
        let head = compose::head(&snapshot, job)?;
        let value = head.map(|head| compose::job(&snapshot, head)).transpose()?;
        Ok(AsOf { seq: snapshot.seq, value })
    }

    /// The node as the log last told of it; `None` before its first start.
    ///
    /// # Errors
    /// When the store fails.
    pub fn node(&self) -> Result<AsOf<Option<NodeView>>, TableError> {
        let snapshot = self.table.snapshot()?;
        Ok(AsOf { seq: snapshot.seq, value: compose::node(&snapshot)? })
    }
}

const NODE: &[u8] = &[1];
pub(crate) const JOB: u8 = 2;
pub(crate) const TRACK: u8 = 3;
pub(crate) const SOURCE: u8 = 4;
const REFUSAL: u8 = 5;
const PEER: u8 = 6;

pub(crate) fn job_key(table: u8, job: JobId) -> Vec<u8> {
    let mut key = vec![table];
    key.extend_from_slice(&job.0.to_be_bytes());
    key
}

pub(crate) fn track_key(table: u8, track: TrackKey) -> Vec<u8> {
    let mut key = job_key(table, track.job);
    key.extend_from_slice(&track.index.to_be_bytes());
    key
}

pub(crate) fn item_key(table: u8, track: TrackKey, item: u32) -> Vec<u8> {
    let mut key = track_key(table, track);
    key.extend_from_slice(&item.to_be_bytes());
    key
}

fn peer_key(peer: &PeerId) -> Vec<u8> {
    let mut key = vec![PEER];
    key.extend_from_slice(foreign::peer(peer).to_string().as_bytes());
    key
}
