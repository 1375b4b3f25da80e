//! What is recorded: inputs and the decisions they caused, each in an envelope.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

use crate::command::Command;
use crate::decision::{CommandRefusal, Decision};
use crate::id::{JobId, TrackKey};
use crate::observation::{Lookup, Observation};
use crate::time::Timestamp;

/// Position in the log: dense, from 1. Zero stands before the first event.
#[derive(
    Archive,
    Serialize,
    Deserialize,
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that can enter the engine.
// Commands are rare and observations are the bulk, so boxing would cost an allocation per event.
#[allow(clippy::large_enum_variant)]
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// Asked by a person.
    Command(Command),
    /// Seen outside.
    Observation(Observation),
}

/// Everything that can be recorded.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// What entered.
    Input(Input),
    /// What was concluded from it.
    Decision(Decision),
}

/// One recorded event.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// Its position.
    pub seq: Seq,
    /// When its input entered.
    pub at: Timestamp,
    /// Position of the input that caused it; an input is its own cause.
    pub cause: Seq,
    /// What happened.
    pub event: Event,
}

impl Event {
    /// The job that an event belongs to, if it belongs to one. An `AddJob` belongs to none until it
    /// is accepted; the `JobAdded` that follows does.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Input(Input::Command(command)) => match command {
                Command::AddJob { .. }
                | Command::SkipDeadLetter { .. }
                | Command::SendChat { .. }
                | Command::MarkChatRead { .. } => None,
                Command::CancelJob { job } | Command::RetryJob { job } => Some(*job),
            },
            Self::Input(Input::Observation(seen)) => observation_job(seen),
            Self::Decision(decision) => decision_job(decision),
        }
    }

    /// The track that an event is about, if it is about one.
    #[must_use]
    pub fn track(&self) -> Option<TrackKey> {
        match self {
            Self::Input(Input::Command(_)) => None,
            Self::Input(Input::Observation(seen)) => observation_track(seen),
            Self::Decision(decision) => decision_track(decision),
        }
    }
}

fn lookup_job(lookup: &Lookup) -> JobId {
    match lookup {
        Lookup::Release { job } => *job,
        Lookup::Identity { track, .. } => track.job,
    }
}

fn lookup_track(lookup: &Lookup) -> Option<TrackKey> {
    match lookup {
        Lookup::Release { .. } => None,
        Lookup::Identity { track, .. } => Some(*track),
    }
}

fn observation_job(seen: &Observation) -> Option<JobId> {
    match seen {
        Observation::ReleaseFetched { job, .. }
        | Observation::SearchAnswered { job, .. }
        | Observation::SearchEnded { job, .. } => Some(*job),
        Observation::LookupFailed { lookup, .. } => Some(lookup_job(lookup)),
        _ => observation_track(seen).map(|track| track.job),
    }
}

fn observation_track(seen: &Observation) -> Option<TrackKey> {
    match seen {
        Observation::PlaceTold { track, .. }
        | Observation::TransferStarted { track, .. }
        | Observation::OverlapCompared { track, .. }
        | Observation::ChunkArrived { track, .. }
        | Observation::TransferEnded { track, .. }
        | Observation::FileExamined { track, .. }
        | Observation::ExamineFailed { track, .. }
        | Observation::StagingLost { track, .. }
        | Observation::RecordingIdentified { track, .. }
        | Observation::FilePublished { track, .. }
        | Observation::PublishFailed { track, .. }
        | Observation::FileDiscarded { track, .. }
        | Observation::ContentDescribed { track, .. }
        | Observation::HoldingTold { track, .. }
        | Observation::SlotGranted { track, .. }
        | Observation::PieceSpoiled { track, .. } => Some(*track),
        Observation::LookupFailed { lookup, .. } => lookup_track(lookup),
        Observation::ReleaseFetched { .. }
        | Observation::SearchAnswered { .. }
        | Observation::SearchEnded { .. }
        | Observation::NodeStarted { .. }
        | Observation::SessionOpened
        | Observation::SessionClosed { .. }
        | Observation::UploadEnded { .. }
        | Observation::PeersForgotten { .. }
        | Observation::ChatReceived { .. }
        | Observation::ChatSent { .. }
        | Observation::ChatFailed { .. }
        | Observation::DeadlineReached => None,
    }
}

fn decision_job(decision: &Decision) -> Option<JobId> {
    match decision {
        Decision::JobAdded { job, .. }
        | Decision::JobHeld { job, .. }
        | Decision::JobResumed { job, .. }
        | Decision::JobFailed { job, .. }
        | Decision::JobCancelled { job }
        | Decision::JobCompleted { job }
        | Decision::SearchPlanned { job, .. }
        | Decision::ReleaseReused { job, .. } => Some(*job),
        Decision::CommandRefused { reason } => match reason {
            CommandRefusal::Duplicate(job)
            | CommandRefusal::JobOver(job)
            | CommandRefusal::NothingToRetry(job) => Some(*job),
            CommandRefusal::UnknownJob(_) | CommandRefusal::NotLoggedIn => None,
        },
        Decision::LookupPlanned { lookup } | Decision::LookupDeferred { lookup, .. } => {
            Some(lookup_job(lookup))
        }
        _ => decision_track(decision).map(|track| track.job),
    }
}

fn decision_track(decision: &Decision) -> Option<TrackKey> {
    match decision {
        Decision::TrackWaiting { track, .. }
        | Decision::SourceFound { track, .. }
        | Decision::SourceResized { track, .. }
        | Decision::SourceDropped { track, .. }
        | Decision::SourceSetAside { track, .. }
        | Decision::SourceSuspected { track, .. }
        | Decision::SourceReturned { track, .. }
        | Decision::PeerRested { track, .. }
        | Decision::RangeAssigned { track, .. }
        | Decision::AssignmentCut { track, .. }
        | Decision::WaitExtended { track, .. }
        | Decision::ChunkAccepted { track, .. }
        | Decision::ChunkRefused { track, .. }
        | Decision::AttemptDropped { track, .. }
        | Decision::FileAssembled { track, .. }
        | Decision::TrackVerified { track, .. }
        | Decision::TrackRefused { track, .. }
        | Decision::TrackCompleted { track, .. }
        | Decision::ContentAdopted { track, .. }
        | Decision::OffsetChosen { track, .. }
        | Decision::EndMoved { track, .. }
        | Decision::SourceSilent { track, .. } => Some(*track),
        Decision::LookupPlanned { lookup } | Decision::LookupDeferred { lookup, .. } => {
            lookup_track(lookup)
        }
        Decision::SearchPlanned { track, .. } => *track,
        Decision::JobAdded { .. }
        | Decision::CommandRefused { .. }
        | Decision::ReleaseReused { .. }
        | Decision::JobHeld { .. }
        | Decision::JobResumed { .. }
        | Decision::JobFailed { .. }
        | Decision::JobCancelled { .. }
        | Decision::JobCompleted { .. }
        | Decision::ChatPlanned { .. }
        | Decision::ChatTaken { .. } => None,
    }
}
