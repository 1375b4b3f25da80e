//! What happened in each job: an index from a job to its events, and totals per peer. The events
//! themselves stay in the log. What a job looks like now is in [`crate::jobs`].
//!
//! ```text
//! 1 | job u32 | seq u64          -> nothing: the key says it
//! 2 | job u32                    -> counts of the job
//! 3 | job u32 | peer             -> totals of one peer in the job
//! 4 | job u32 | assignment u64   -> the peer that got the assignment
//! ```
//! Numbers in keys are big-endian, so a scan is in order.

use domain::decision::CutReason;
use domain::observation::{TransferEnd, TransferFault};
use domain::{
    AssignmentId, Command, Decision, Envelope, Event, Input, JobId, Observation, PeerId, Seq,
};
use eventlog::{Reader, Signal};

use crate::draft::Draft;
use crate::foreign;
use crate::projection::{Projection as _, folded};
use crate::rows::Standing as _;
use crate::table::{AsOf, Store, Table, TableError};

pub use rows::{JobCounts, PeerTotals};

/// The types that are stored.
mod rows {
    // rkyv's derive writes undocumented mirror types.
    #![allow(missing_docs)]

    use domain::PeerId;
    use rkyv::{Archive, Deserialize, Serialize};

    /// What happened in a job, counted.
    #[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct JobCounts {
        /// Events in its trace, the causes included.
        pub events: u64,
        /// Searches sent.
        pub searches: u64,
        /// Times a source took over from another one in the middle of a file.
        pub takeovers: u64,
        /// Whole files that were refused.
        pub refused: u64,
    }

    /// What one peer did for a job.
    #[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
    pub struct PeerTotals {
        /// The peer.
        pub peer: PeerId,
        /// Bytes of it that were accepted.
        pub bytes: u64,
        /// Time it spent sending, in milliseconds.
        pub busy_ms: u64,
        /// Times it was asked for bytes.
        pub assignments: u64,
        /// Transfers that failed, or were cut because of the peer.
        pub failures: u64,
    }

    /// Who got an assignment.
    #[derive(Archive, Serialize, Deserialize)]
    pub struct Assigned {
        pub peer: PeerId,
    }

    crate::table::rows!(JobCounts, PeerTotals, Assigned);
}

/// The totals of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSummary {
    /// What happened, counted.
    pub counts: JobCounts,
    /// Every peer that was asked for bytes, by name.
    pub peers: Vec<PeerTotals>,
}

/// Why a trace could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The index could not be read.
    #[error("the trace could not be read")]
    Table(#[from] TableError),
    /// The events could not be read.
    #[error("the events of the trace could not be read")]
    Log(#[from] eventlog::ReadError),
}

/// The trace being folded.
pub struct Trace {
    table: Table,
}

impl Trace {
    /// Opens the rows, and a view on them that reads events from `reader`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(store: &Store, reader: Reader) -> Result<(Self, View), TableError> {
        let table = store.table(Self::NAME)?;
        Ok((Self { table: table.clone() }, View { table, reader }))
    }
}

folded!(Trace, "trace", version 1, readable since 1, by fold);

/// Reads traces. Cheap to clone.
#[derive(Clone)]
pub struct View {
    table: Table,
    reader: Reader,
}

impl View {
    /// The last event folded in, and ways to wait for later ones.
    #[must_use]
    pub fn position(&self) -> &Signal {
        self.table.position()
    }

    /// Events of a job after position `after`, oldest first, at most `limit`: all that name the job,
    /// and whatever input caused one of these. An unknown job has none.
    ///
    /// # Errors
    /// When the index or the log cannot be read.
    pub fn events(
        &self,
        job: JobId,
        after: Seq,
        limit: usize,
    ) -> Result<AsOf<Vec<Envelope>>, TraceError> {
        let prefix = key(EVENT, job, &[]);
        let Some(from) = after.0.checked_add(1) else {
            return Ok(AsOf { seq: self.table.position().position(), value: Vec::new() });
        };
        // The snapshot ends before the log is read, so that a long trace holds nobody up.
        let (seq, keys) = {
            let snapshot = self.table.snapshot()?;
            let start = key(EVENT, job, &from.to_be_bytes());
            (snapshot.seq, snapshot.keys(&prefix, start, limit)?)
        };
        let seqs = keys.iter().filter_map(|key| {
            let seq = key.get(prefix.len()..)?.try_into().ok()?;
            Some(Seq(u64::from_be_bytes(seq)))
        });
        let value = self.reader.pick(seqs).collect::<Result<_, _>>()?;
        Ok(AsOf { seq, value })
    }

    /// The totals of a job; `None` for an unknown one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn summary(&self, job: JobId) -> Result<AsOf<Option<TraceSummary>>, TraceError> {
        let snapshot = self.table.snapshot()?;
        let Some(counts) = snapshot.get(&key(COUNTS, job, &[]))? else {
            return Ok(AsOf { seq: snapshot.seq, value: None });
        };
        let peers = snapshot.scan::<PeerTotals>(&key(PEER, job, &[]))?;
        let peers = peers.into_iter().map(|(_, totals)| totals).collect();
        Ok(AsOf { seq: snapshot.seq, value: Some(TraceSummary { counts, peers }) })
    }
}

const EVENT: u8 = 1;
const COUNTS: u8 = 2;
const PEER: u8 = 3;
const ASSIGNED: u8 = 4;

fn key(table: u8, job: JobId, rest: &[u8]) -> Vec<u8> {
    let mut key = vec![table];
    key.extend_from_slice(&job.0.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

fn peer_key(job: JobId, peer: &PeerId) -> Vec<u8> {
    key(PEER, job, peer.to_string().as_bytes())
}

fn assigned_key(job: JobId, assignment: AssignmentId) -> Vec<u8> {
    key(ASSIGNED, job, &assignment.0.to_be_bytes())
}

fn fold(draft: &mut Draft<'_>, envelope: &Envelope) -> Result<(), TableError> {
    let Some(job) = envelope.event.job() else { return Ok(()) };
    // The cause may name no job (an AddJob, a deadline) and still be the answer to "why".
    let mut added = 0;
    for seq in [envelope.cause, envelope.seq] {
        let key = key(EVENT, job, &seq.0.to_be_bytes());
        // A cause that this program does not understand cannot be shown.
        if draft.is_marked(&key)? || (seq != envelope.seq && draft.is_set_aside(seq)?) {
            continue;
        }
        draft.mark(&key);
        added += 1;
    }
    count(draft, job, |counts| counts.events += added)?;
    match &envelope.event {
        Event::Input(Input::Command(command)) => match command {
            Command::AddJob { .. }
            | Command::CancelJob { .. }
            | Command::RetryJob { .. }
            | Command::SendChat { .. }
            | Command::MarkChatRead { .. }
            | Command::SkipDeadLetter { .. } => Ok(()),
        },
        Event::Input(Input::Observation(seen)) => fold_observation(draft, job, seen),
        Event::Decision(decision) => fold_decision(draft, job, decision),
    }
}

fn fold_observation(
    draft: &mut Draft<'_>,
    job: JobId,
    seen: &Observation,
) -> Result<(), TableError> {
    match seen {
        Observation::ChunkArrived { assignment, elapsed_ms, .. }
        | Observation::PieceSpoiled { assignment, elapsed_ms, .. } => {
            total(draft, job, *assignment, |peer| {
                peer.busy_ms = peer.busy_ms.saturating_add(*elapsed_ms);
            })
        }
        Observation::TransferEnded { assignment, end: TransferEnd::Failed(fault), .. }
            if is_of_peer(fault) =>
        {
            total(draft, job, *assignment, |peer| peer.failures += 1)
        }
        Observation::TransferEnded { .. }
        | Observation::NodeStarted { .. }
        | Observation::SessionOpened
        | Observation::SessionClosed { .. }
        | Observation::ReleaseFetched { .. }
        | Observation::LookupFailed { .. }
        | Observation::SearchAnswered { .. }
        | Observation::SearchEnded { .. }
        | Observation::PlaceTold { .. }
        | Observation::TransferStarted { .. }
        | Observation::OverlapCompared { .. }
        | Observation::FileExamined { .. }
        | Observation::ExamineFailed { .. }
        | Observation::StagingLost { .. }
        | Observation::RecordingIdentified { .. }
        | Observation::FilePublished { .. }
        | Observation::PublishFailed { .. }
        | Observation::FileDiscarded { .. }
        | Observation::UploadEnded { .. }
        | Observation::PeersForgotten { .. }
        | Observation::ChatReceived { .. }
        | Observation::ChatSent { .. }
        | Observation::ChatFailed { .. }
        | Observation::ContentDescribed { .. }
        | Observation::HoldingTold { .. }
        | Observation::SlotGranted { .. }
        | Observation::DeadlineReached => Ok(()),
    }
}

/// False for what went wrong on our side.
fn is_of_peer(fault: &TransferFault) -> bool {
    match fault {
        TransferFault::PeerOffline
        | TransferFault::CannotConnect
        | TransferFault::TimedOut(_)
        | TransferFault::ConnectionCut
        | TransferFault::Denied(_)
        | TransferFault::UploadFailed
        | TransferFault::SizeChanged(_)
        | TransferFault::Surplus => true,
        TransferFault::StagingShort(_) | TransferFault::Disk(_) | TransferFault::SessionClosed => {
            false
        }
    }
}

fn fold_decision(draft: &mut Draft<'_>, job: JobId, decision: &Decision) -> Result<(), TableError> {
    match decision {
        Decision::SearchPlanned { .. } => count(draft, job, |counts| counts.searches += 1),
        Decision::RangeAssigned { assignment, peer, choice, .. } => {
            if choice.takeover {
                count(draft, job, |counts| counts.takeovers += 1)?;
            }
            draft.put(
                &assigned_key(job, *assignment),
                &rows::Assigned { peer: foreign::peer(peer) },
            )?;
            total(draft, job, *assignment, |peer| peer.assignments += 1)
        }
        Decision::AssignmentCut { assignment, reason, .. } => match reason {
            CutReason::Stalled | CutReason::BadContent => {
                total(draft, job, *assignment, |peer| peer.failures += 1)
            }
            CutReason::Restarted
            | CutReason::QueuedTooLong
            | CutReason::JobStopped
            | CutReason::Failed
            | CutReason::Overtaken
            | CutReason::Complete => Ok(()),
        },
        Decision::ChunkAccepted { assignment, range, .. } => {
            total(draft, job, *assignment, |peer| {
                peer.bytes = peer.bytes.saturating_add(range.len());
            })
        }
        Decision::TrackRefused { .. } => count(draft, job, |counts| counts.refused += 1),
        Decision::JobAdded { .. }
        | Decision::ReleaseReused { .. }
        | Decision::CommandRefused { .. }
        | Decision::LookupPlanned { .. }
        | Decision::LookupDeferred { .. }
        | Decision::JobHeld { .. }
        | Decision::JobResumed { .. }
        | Decision::JobFailed { .. }
        | Decision::JobCancelled { .. }
        | Decision::JobCompleted { .. }
        | Decision::TrackWaiting { .. }
        | Decision::SourceFound { .. }
        | Decision::SourceResized { .. }
        | Decision::SourceDropped { .. }
        | Decision::SourceSetAside { .. }
        | Decision::SourceSuspected { .. }
        | Decision::SourceReturned { .. }
        | Decision::PeerRested { .. }
        | Decision::WaitExtended { .. }
        | Decision::ContentAdopted { .. }
        | Decision::OffsetChosen { .. }
        | Decision::EndMoved { .. }
        | Decision::ChatPlanned { .. }
        | Decision::ChatTaken { .. }
        | Decision::SourceSilent { .. }
        | Decision::ChunkRefused { .. }
        | Decision::AttemptDropped { .. }
        | Decision::FileAssembled { .. }
        | Decision::TrackVerified { .. }
        | Decision::TrackCompleted { .. } => Ok(()),
    }
}

fn count(
    draft: &mut Draft<'_>,
    job: JobId,
    change: impl FnOnce(&mut JobCounts),
) -> Result<(), TableError> {
    let key = key(COUNTS, job, &[]);
    let mut counts = draft.get::<JobCounts>(&key)?.unwrap_or_default();
    change(&mut counts);
    draft.put(&key, &counts)
}

/// Changes the totals of the peer that got an assignment. One that nobody got is strange news and
/// counts for nobody.
fn total(
    draft: &mut Draft<'_>,
    job: JobId,
    assignment: AssignmentId,
    change: impl FnOnce(&mut PeerTotals),
) -> Result<(), TableError> {
    let Some(assigned) = draft.get::<rows::Assigned>(&assigned_key(job, assignment))? else {
        return Ok(());
    };
    let key = peer_key(job, &assigned.peer);
    let mut totals = draft.get::<PeerTotals>(&key)?.unwrap_or(PeerTotals {
        peer: assigned.peer,
        bytes: 0,
        busy_ms: 0,
        assignments: 0,
        failures: 0,
    });
    change(&mut totals);
    draft.put(&key, &totals)
}
