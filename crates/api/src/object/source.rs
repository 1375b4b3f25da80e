//! A source of a track.

use async_graphql::{Enum, SimpleObject};
use projections::jobs;

use crate::scalar::{Bytes, Micros, small};

/// One file of one peer that seems to be a wanted track.
#[derive(SimpleObject)]
pub(crate) struct Source {
    /// Its number within the track.
    number: i32,
    /// Who has it: the network and the name there, such as slsk:ada.
    peer: String,
    /// Its path in the peer's words.
    path: String,
    /// Size of the file.
    size: Bytes,
    /// How well its name and length fit the track, in parts per million.
    likeness_ppm: u32,
    /// What it is doing.
    state: SourceState,
    /// When it may be asked again, if it rests.
    waits_until: Option<Micros>,
    /// Place in the peer's queue, if told; 1 is next.
    queue_place: Option<i32>,
    /// Why it rests, was dropped, or did not finish.
    reason: Option<String>,
    /// Bytes of it that were accepted, over all attempts.
    bytes_accepted: Bytes,
    /// Time it spent sending.
    busy_time: Micros,
}

/// What a source is doing for a track.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceState {
    /// It may be asked.
    Candidate,
    /// It was asked.
    Queued,
    /// It sends.
    Sending,
    /// Its peer failed and is left alone for a while.
    Resting,
    /// It has other bytes than those held; it may be asked again for the next attempt.
    SetAside,
    /// It is not asked again for this track, unless it merely failed and its peer offers the file
    /// again; the reason says why.
    Dropped,
    /// It gave all that was asked of it.
    Done,
}

impl From<jobs::SourceState> for SourceState {
    fn from(state: jobs::SourceState) -> Self {
        match state {
            jobs::SourceState::Candidate => Self::Candidate,
            jobs::SourceState::Queued { .. } => Self::Queued,
            jobs::SourceState::Sending => Self::Sending,
            jobs::SourceState::Resting { .. } => Self::Resting,
            jobs::SourceState::SetAside => Self::SetAside,
            jobs::SourceState::Dropped => Self::Dropped,
            jobs::SourceState::Done => Self::Done,
        }
    }
}

impl From<jobs::SourceView> for Source {
    fn from(view: jobs::SourceView) -> Self {
        let (until, place) = match view.state {
            jobs::SourceState::Resting { until } => (Some(until), None),
            jobs::SourceState::Queued { place } => (None, place),
            _ => (None, None),
        };
        Self {
            number: small(view.source.0),
            peer: view.peer.to_string(),
            path: view.path,
            size: Bytes(view.size),
            likeness_ppm: view.likeness.0,
            state: view.state.into(),
            waits_until: until.map(Micros::from),
            queue_place: place.map(small),
            reason: view.reason,
            bytes_accepted: Bytes(view.bytes_accepted),
            busy_time: Micros(view.busy_ms.saturating_mul(1000)),
        }
    }
}
