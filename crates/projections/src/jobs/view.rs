//! What readers get: plain values that can be kept, sent and compared. Nothing here is stored.

use domain::chunk::Digest;
use domain::id::AcoustId;
use domain::score::Ppm;
use domain::{JobId, PeerId, RecordingId, ReleaseId, Seq, SourceId, Timestamp};

use super::rows::{JobState, SourceState, TrackState};

/// The node as the log last told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Whether we are logged in to the Soulseek server.
    pub logged_in: bool,
    /// Why not.
    pub reason: Option<String>,
    /// What happens next, or what a person can do.
    pub next_action: Option<String>,
    /// Since when it is so.
    pub since: Timestamp,
    /// Version of the decision rules of the last run.
    pub engine: u32,
    /// Build of the last run.
    pub build: String,
    /// When the last run began.
    pub started_at: Timestamp,
    /// Runs so far.
    pub runs: u64,
}

/// A job without its tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHead {
    /// Its number.
    pub job: JobId,
    /// The edition wanted.
    pub release: ReleaseId,
    /// What it is doing.
    pub state: JobState,
    /// Why it does not go on, whenever it does not.
    pub reason: Option<String>,
    /// What happens next, or what a person can do; there whenever there is a reason.
    pub next_action: Option<String>,
    /// Title of the release; empty until it was looked up.
    pub title: String,
    /// Who it is credited to; empty until it was looked up.
    pub artist: String,
    /// `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or empty.
    pub date: String,
    /// Number of tracks; zero until they are known.
    pub tracks_total: u16,
    /// Tracks that stand in the library.
    pub tracks_completed: u16,
    /// Bytes held or published of all tracks.
    pub bytes_held: u64,
    /// Bytes of all tracks whose size is known by now.
    pub bytes_total: u64,
    /// When it was accepted.
    pub added_at: Timestamp,
    /// When it was completed, cancelled or given up.
    pub finished_at: Option<Timestamp>,
    /// The last event about it.
    pub changed: Seq,
}

/// A job with everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// The job itself.
    pub head: JobHead,
    /// Its tracks over all media, in order.
    pub tracks: Vec<TrackView>,
}

/// A track of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackView {
    /// Place in the job, from 0 over all media.
    pub index: u16,
    /// Medium, from 1.
    pub medium: u16,
    /// Position on the medium, from 1.
    pub position: u16,
    /// Title as on this release.
    pub title: String,
    /// Who it is credited to.
    pub artist: String,
    /// The recording that must be found.
    pub recording: RecordingId,
    /// Length in milliseconds, when known.
    pub duration_ms: Option<u64>,
    /// What it is doing.
    pub state: TrackState,
    /// Why it does not go on, or why it had to begin anew.
    pub reason: Option<String>,
    /// What happens next, or what a person can do; there whenever there is a reason.
    pub next_action: Option<String>,
    /// Which attempt at the track.
    pub attempt: u16,
    /// Bytes held of this attempt.
    pub held_bytes: u64,
    /// Size of this attempt's file in bytes, when a source was asked.
    pub size: Option<u64>,
    /// Where it stands or will stand, relative to the music folder.
    pub path: Option<String>,
    /// The AcoustID track that proved it.
    pub acoustid: Option<AcoustId>,
    /// How alike it was.
    pub score: Option<Ppm>,
    /// Times a source went on where another one had stopped.
    pub takeovers: u32,
    /// Its sources, in the order they were found.
    pub sources: Vec<SourceView>,
    /// Files that were refused, oldest first.
    pub refusals: Vec<RefusalView>,
}

/// A source of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceView {
    /// Its number within the track.
    pub source: SourceId,
    /// Who has it.
    pub peer: PeerId,
    /// Its path in the peer's words; cut when it is absurdly long.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// How well its name and length fit the track.
    pub likeness: Ppm,
    /// What it is doing.
    pub state: SourceState,
    /// Why it rests, was dropped, or did not finish.
    pub reason: Option<String>,
    /// Bytes of it that were accepted, over all attempts.
    pub bytes_accepted: u64,
    /// Time it spent sending, in milliseconds.
    pub busy_ms: u64,
}

/// A whole file that was not what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalView {
    /// BLAKE3 of the file; it is not fetched again.
    pub digest: Digest,
    /// Why.
    pub reason: String,
    /// Who gave bytes of it.
    pub peers: Vec<PeerId>,
    /// When.
    pub at: Timestamp,
}
