//! Which answer belongs to which question, so that what is under way at a fork ends as it was recorded.

use domain::observation::Lookup;
use domain::{AssignmentId, Effect, Observation, SearchId, TrackKey};

/// What is asked of the outside, by what tells its answers from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Transfer(AssignmentId),
    Search(SearchId),
    Lookup(Lookup),
    Staged(TrackKey, u16),
    Discard(TrackKey, u16),
}

impl Key {
    pub(super) fn of_effect(effect: &Effect) -> Option<Self> {
        Some(match effect {
            Effect::FetchRelease { job, .. } => Self::Lookup(Lookup::Release { job: *job }),
            Effect::Identify { track, attempt, .. } => {
                Self::Lookup(Lookup::Identity { track: *track, attempt: *attempt })
            }
            Effect::Search { search, .. } => Self::Search(*search),
            Effect::FetchRange { assignment, .. } => Self::Transfer(*assignment),
            Effect::Examine { track, attempt, .. } | Effect::Publish { track, attempt, .. } => {
                Self::Staged(*track, *attempt)
            }
            Effect::Discard { track, attempt } => Self::Discard(*track, *attempt),
            Effect::CancelTransfer { .. }
            | Effect::BeginAt { .. }
            | Effect::MoveEnd { .. }
            | Effect::Share { .. }
            | Effect::SendChat { .. }
            | Effect::AcknowledgeChat { .. } => return None,
        })
    }

    pub(super) fn of_answer(seen: &Observation) -> Option<Self> {
        Some(match seen {
            Observation::ReleaseFetched { job, .. } => Self::Lookup(Lookup::Release { job: *job }),
            Observation::RecordingIdentified { track, attempt, .. } => {
                Self::Lookup(Lookup::Identity { track: *track, attempt: *attempt })
            }
            Observation::LookupFailed { lookup, .. } => Self::Lookup(*lookup),
            Observation::SearchAnswered { search, .. }
            | Observation::SearchEnded { search, .. } => Self::Search(*search),
            Observation::PlaceTold { assignment, .. }
            | Observation::TransferStarted { assignment, .. }
            | Observation::OverlapCompared { assignment, .. }
            | Observation::ChunkArrived { assignment, .. }
            | Observation::SlotGranted { assignment, .. }
            | Observation::PieceSpoiled { assignment, .. }
            | Observation::TransferEnded { assignment, .. } => Self::Transfer(*assignment),
            Observation::FileExamined { track, attempt, .. }
            | Observation::ExamineFailed { track, attempt, .. }
            | Observation::StagingLost { track, attempt, .. }
            | Observation::FilePublished { track, attempt, .. }
            | Observation::PublishFailed { track, attempt, .. } => Self::Staged(*track, *attempt),
            Observation::FileDiscarded { track, attempt } => Self::Discard(*track, *attempt),
            Observation::NodeStarted { .. }
            | Observation::SessionOpened
            | Observation::SessionClosed { .. }
            | Observation::UploadEnded { .. }
            | Observation::PeersForgotten { .. }
            | Observation::ChatReceived { .. }
            | Observation::ChatSent { .. }
            | Observation::ChatFailed { .. }
            | Observation::ContentDescribed { .. }
            | Observation::HoldingTold { .. }
            | Observation::DeadlineReached => return None,
        })
    }

    /// Whether nothing more comes after this answer.
    pub(super) fn is_closed_by(&self, seen: &Observation) -> bool {
        match self {
            Self::Transfer(_) => matches!(seen, Observation::TransferEnded { .. }),
            Self::Search(_) => matches!(seen, Observation::SearchEnded { .. }),
            Self::Lookup(_) | Self::Staged(..) | Self::Discard(..) => true,
        }
    }
}
