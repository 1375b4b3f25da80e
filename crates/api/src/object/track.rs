//! A track of a job.

use async_graphql::{Enum, SimpleObject};
use projections::jobs;

use crate::object::{RefusedFile, Source};
use crate::scalar::{Bytes, Micros, small};

/// A track of a job.
#[derive(SimpleObject)]
pub(crate) struct Track {
    /// Place in the job, counted from 1 over all media.
    number: u32,
    /// Medium, counted from 1.
    medium: u16,
    /// Position on the medium, counted from 1.
    place: u16,
    /// Title as on this release.
    title: String,
    /// Who it is credited to.
    artist: String,
    /// MusicBrainz ID of the recording that must be found.
    recording: String,
    /// Length in milliseconds, when known.
    duration_ms: Option<i32>,
    /// What it is doing.
    state: TrackState,
    /// When it is searched for again, if it waits for sources.
    waits_until: Option<Micros>,
    /// Place in the queue of the peer that was asked, if told; 1 is next.
    queue_place: Option<i32>,
    /// Why it does not go on, or why it had to begin anew.
    reason: Option<String>,
    /// What happens next, or what you can do; there whenever there is a reason.
    next_action: Option<String>,
    /// Which attempt at the track.
    attempt: u16,
    /// Bytes held of this attempt.
    bytes_held: Bytes,
    /// Size of this attempt's file, when a source was asked.
    size: Option<Bytes>,
    /// Where it stands or will stand, relative to the music folder.
    path: Option<String>,
    /// The AcoustID that proved it.
    acoustid: Option<String>,
    /// How alike it was, in parts per million.
    score_ppm: Option<u32>,
    /// Times a source went on where another one had stopped.
    takeovers: i32,
    /// Its sources, in the order they were found.
    sources: Vec<Source>,
    /// Files that were refused, oldest first. They are not fetched again.
    refused: Vec<RefusedFile>,
}

/// What a track is doing.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackState {
    /// No source has been asked yet, or the next one is about to be.
    Wanted,
    /// No source is known.
    Waiting,
    /// A source was asked and has not begun to send.
    Queued,
    /// Bytes are coming.
    Downloading,
    /// Every byte is here and is being decoded.
    Examining,
    /// It is being looked up by how it sounds.
    Identifying,
    /// It is the recording wanted, and is being moved into the library.
    Publishing,
    /// It stands in the library.
    Completed,
}

impl From<jobs::TrackState> for TrackState {
    fn from(state: jobs::TrackState) -> Self {
        match state {
            jobs::TrackState::Wanted => Self::Wanted,
            jobs::TrackState::Waiting { .. } => Self::Waiting,
            jobs::TrackState::Queued { .. } => Self::Queued,
            jobs::TrackState::Downloading => Self::Downloading,
            jobs::TrackState::Examining => Self::Examining,
            jobs::TrackState::Identifying => Self::Identifying,
            jobs::TrackState::Publishing => Self::Publishing,
            jobs::TrackState::Completed => Self::Completed,
        }
    }
}

impl From<jobs::TrackView> for Track {
    fn from(view: jobs::TrackView) -> Self {
        let (until, place) = match view.state {
            jobs::TrackState::Waiting { until } => (Some(until), None),
            jobs::TrackState::Queued { place } => (None, place),
            _ => (None, None),
        };
        Self {
            number: u32::from(view.index) + 1,
            medium: view.medium,
            place: view.position,
            title: view.title,
            artist: view.artist,
            recording: view.recording.to_string(),
            duration_ms: view.duration_ms.map(small),
            state: view.state.into(),
            waits_until: until.map(Micros::from),
            queue_place: place.map(small),
            reason: view.reason,
            next_action: view.next_action,
            attempt: view.attempt,
            bytes_held: Bytes(view.held_bytes),
            size: view.size.map(Bytes),
            path: view.path,
            acoustid: view.acoustid.map(|id| id.to_string()),
            score_ppm: view.score.map(|score| score.0),
            takeovers: small(view.takeovers),
            sources: view.sources.into_iter().map(Source::from).collect(),
            refused: view.refusals.into_iter().map(RefusedFile::from).collect(),
        }
    }
}
