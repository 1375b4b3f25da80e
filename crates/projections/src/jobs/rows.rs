//! The types that are stored. What readers get is made of them in `compose`.

// rkyv's derive writes undocumented mirror types of every enum with named fields.
#![allow(missing_docs)]

use domain::chunk::Digest;
use domain::id::AcoustId;
use domain::score::Ppm;
use domain::{PeerId, RecordingId, ReleaseId, Seq, Timestamp};
use rkyv::{Archive, Deserialize, Serialize};

/// What a job is doing.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Accepted.
    Queued,
    /// Its release is being looked up.
    LookingUp,
    /// Its tracks are known; no source of any is known yet.
    Searching,
    /// Its tracks are being fetched.
    Active,
    /// It waits for something outside; the reason says for what.
    Held {
        /// When it goes on by itself; `None` when a person has to act.
        until: Option<Timestamp>,
    },
    /// It cannot be done; the reason says why.
    Failed,
    /// It was stopped by command.
    Cancelled,
    /// Every track stands in the library.
    Completed,
}

/// What a track is doing.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackState {
    /// No source has been asked yet, or the next one is about to be.
    Wanted,
    /// No source is known.
    Waiting {
        /// When it is searched for again.
        until: Timestamp,
    },
    /// A source was asked and has not begun to send.
    Queued {
        /// Place in the peer's queue, if told; 1 is next.
        place: Option<u32>,
    },
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

/// What a source is doing for a track.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// It may be asked.
    Candidate,
    /// It was asked.
    Queued {
        /// Place in the peer's queue, if told; 1 is next.
        place: Option<u32>,
    },
    /// It sends.
    Sending,
    /// Its peer failed and is left alone for a while.
    Resting {
        /// When it may be asked again.
        until: Timestamp,
    },
    /// It has other bytes than those held; it may be asked again for the next attempt.
    SetAside,
    /// It is not asked again for this track, unless it merely failed and its peer offers the file
    /// again; the reason says why.
    Dropped,
    /// It gave all that was asked of it.
    Done,
}

/// Whether we are logged in to the Soulseek server.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(crate) enum Session {
    /// Not since the start of this run.
    Opening,
    Open,
    /// Ended, and waiting helps.
    Lost(String),
    /// Ended, and a person has to act.
    Ended(String),
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct NodeRow {
    pub session: Session,
    pub since: Timestamp,
    pub engine: u32,
    pub build: String,
    pub started_at: Timestamp,
    pub runs: u64,
    /// When the last event entered: the clock of a view that has none.
    pub now: Timestamp,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct JobRow {
    pub release: ReleaseId,
    pub state: JobState,
    pub reason: Option<String>,
    pub next_action: Option<String>,
    pub title: String,
    pub artist: String,
    pub date: String,
    pub tracks: u16,
    pub has_source: bool,
    pub added_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub changed: Seq,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct TrackRow {
    pub medium: u16,
    pub position: u16,
    pub title: String,
    pub artist: String,
    pub recording: RecordingId,
    pub duration_ms: Option<u64>,
    pub state: TrackState,
    pub reason: Option<String>,
    pub next_action: Option<String>,
    pub attempt: u16,
    pub held_bytes: u64,
    pub size: Option<u64>,
    pub path: Option<String>,
    pub acoustid: Option<AcoustId>,
    pub score: Option<Ppm>,
    pub takeovers: u32,
    pub refusals: u32,
    /// The assignment at work.
    pub open: Option<u64>,
    /// The last assignments and their sources: news of one may come after it was cut.
    pub assigned: Vec<(u64, u32)>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct SourceRow {
    pub peer: PeerId,
    pub path: String,
    pub size: u64,
    pub likeness: Ppm,
    pub state: SourceState,
    pub reason: Option<String>,
    pub bytes_accepted: u64,
    pub busy_ms: u64,
    /// The last attempt to which it gave bytes.
    pub gave_to: Option<u16>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct RefusalRow {
    pub digest: Digest,
    pub reason: String,
    pub peers: Vec<PeerId>,
    pub at: Timestamp,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct PeerRow {
    pub until: Timestamp,
    pub reason: String,
}

crate::table::rows!(NodeRow, JobRow, TrackRow, SourceRow, RefusalRow, PeerRow);
