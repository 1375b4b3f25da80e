//! A job as a list shows it.

use async_graphql::{Enum, ID, SimpleObject};
use projections::jobs;

use crate::scalar::{Bytes, Micros, Seq};

/// A job without its tracks.
#[derive(SimpleObject)]
pub(crate) struct JobSummary {
    /// Its number, counted from 1 in the order of acceptance.
    id: ID,
    /// MusicBrainz ID of the edition wanted.
    release: String,
    /// What it is doing.
    state: JobState,
    /// When it goes on by itself, if it waits and does.
    waits_until: Option<Micros>,
    /// Why it does not go on, whenever it does not.
    reason: Option<String>,
    /// What happens next, or what you can do; there whenever there is a reason.
    next_action: Option<String>,
    /// Title of the release; empty until it was looked up.
    title: String,
    /// Who it is credited to; empty until it was looked up.
    artist: String,
    /// YYYY, YYYY-MM, YYYY-MM-DD or empty.
    date: String,
    /// Number of tracks; zero until they are known.
    tracks_total: u16,
    /// Tracks that stand in the library.
    tracks_completed: u16,
    /// Bytes held or published of all tracks.
    bytes_held: Bytes,
    /// Bytes of all tracks whose size is known by now.
    bytes_total: Bytes,
    /// When it was accepted.
    added_at: Micros,
    /// When it was completed, cancelled or given up.
    finished_at: Option<Micros>,
    /// Position of the last event about it.
    changed: Seq,
}

/// What a job is doing.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    /// Accepted.
    Queued,
    /// Its release is being looked up.
    LookingUp,
    /// Its tracks are known; no source of any is known yet.
    Searching,
    /// Its tracks are being fetched.
    Active,
    /// It waits for something outside; the reason says for what.
    Held,
    /// It cannot be done; the reason says why.
    Failed,
    /// It was stopped by command.
    Cancelled,
    /// Every track stands in the library.
    Completed,
}

impl From<jobs::JobState> for JobState {
    fn from(state: jobs::JobState) -> Self {
        match state {
            jobs::JobState::Queued => Self::Queued,
            jobs::JobState::LookingUp => Self::LookingUp,
            jobs::JobState::Searching => Self::Searching,
            jobs::JobState::Active => Self::Active,
            jobs::JobState::Held { .. } => Self::Held,
            jobs::JobState::Failed => Self::Failed,
            jobs::JobState::Cancelled => Self::Cancelled,
            jobs::JobState::Completed => Self::Completed,
        }
    }
}

impl From<jobs::JobHead> for JobSummary {
    fn from(head: jobs::JobHead) -> Self {
        let until = match head.state {
            jobs::JobState::Held { until } => until,
            _ => None,
        };
        Self {
            id: head.job.to_string().into(),
            release: head.release.to_string(),
            state: head.state.into(),
            waits_until: until.map(Micros::from),
            reason: head.reason,
            next_action: head.next_action,
            title: head.title,
            artist: head.artist,
            date: head.date,
            tracks_total: head.tracks_total,
            tracks_completed: head.tracks_completed,
            bytes_held: Bytes(head.bytes_held),
            bytes_total: Bytes(head.bytes_total),
            added_at: head.added_at.into(),
            finished_at: head.finished_at.map(Micros::from),
            changed: head.changed.into(),
        }
    }
}
