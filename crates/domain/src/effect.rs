//! What is to be done outside. Effects are derived from decisions and never recorded; each is
//! self-contained, so whoever performs it needs no state of the engine. Doing one twice does no harm.

use crate::chunk::{ByteRange, Content, Digest};
use crate::id::{AcoustId, AssignmentId, ChatId, JobId, PeerId, ReleaseId, SearchId, TrackKey};
use crate::media::Fingerprint;
use crate::target::{Target, Track};

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Ask MusicBrainz; comes back as `ReleaseFetched` or `LookupFailed`.
    FetchRelease {
        /// The job that asks.
        job: JobId,
        /// The release.
        release: ReleaseId,
    },
    /// Ask AcoustID; comes back as `RecordingIdentified` or `LookupFailed`.
    Identify {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// Length of the file in milliseconds.
        duration_ms: u64,
        /// How it sounds.
        fingerprint: Fingerprint,
    },
    /// Search the network; comes back as any number of `SearchAnswered` and one `SearchEnded`.
    Search {
        /// The job that asks.
        job: JobId,
        /// The search.
        search: SearchId,
        /// The words.
        query: String,
        /// How long to collect answers, in milliseconds.
        open_ms: u64,
    },
    /// Fetch bytes into staging; comes back as `PlaceTold`, `TransferStarted`, `OverlapCompared`,
    /// `ChunkArrived` and one `TransferEnded`.
    FetchRange {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track: names the staged file.
        attempt: u16,
        /// The assignment.
        assignment: AssignmentId,
        /// Who has it.
        peer: PeerId,
        /// Its path in the peer's words.
        path: String,
        /// Size of the whole file in bytes.
        size: u64,
        /// The bytes wanted; staging is cut to the start of it first.
        range: ByteRange,
        /// Bytes before the range to be compared with those in staging.
        overlap: u64,
        /// What the bytes are checked against, when that is known: staging is then not cut but written
        /// into, wrong units come back as `PieceSpoiled`, and whoever streams is asked to begin by
        /// `BeginAt` after a `SlotGranted`.
        content: Option<Content>,
    },
    /// Let a source that streams begin; comes back as `FetchRange` says.
    BeginAt {
        /// The assignment.
        assignment: AssignmentId,
        /// The bytes wanted.
        range: ByteRange,
    },
    /// End a transfer sooner or later than was asked; nothing comes back for it.
    MoveEnd {
        /// The assignment.
        assignment: AssignmentId,
        /// One past its last byte from now on.
        end: u64,
    },
    /// End a transfer; nothing comes back.
    CancelTransfer {
        /// The assignment.
        assignment: AssignmentId,
    },
    /// Decode a staged file and take its fingerprint; comes back as `FileExamined` or `StagingLost`.
    Examine {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// Size it must have, in bytes.
        size: u64,
    },
    /// Tag a copy of a staged file and move it into the library; comes back as `FilePublished`,
    /// `PublishFailed` or `StagingLost`.
    Publish {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// BLAKE3 of the file that was examined; what is staged must still be it.
        digest: Digest,
        /// Where, relative to the music folder.
        path: String,
        /// What the tags say.
        tags: Box<Tags>,
    },
    /// Delete a staged file; comes back as `FileDiscarded`.
    Discard {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
    },
    /// Offer a published file to others; nothing comes back.
    Share {
        /// Where, relative to the music folder.
        path: String,
    },
    /// Say something; comes back as `ChatSent` or `ChatFailed`. It is not asked for again after a
    /// restart, because whoever it is for would read it twice.
    SendChat {
        /// The message.
        chat: ChatId,
        /// To whom.
        peer: PeerId,
        /// What.
        text: String,
    },
    /// Have the server not say something again; nothing comes back. Without it the message comes again
    /// with the next login.
    AcknowledgeChat {
        /// The server's number for it.
        id: u32,
    },
}

/// What the tags of a published file say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tags {
    /// The release, without its other tracks.
    pub release: Target,
    /// The track.
    pub track: Track,
    /// Tracks on its medium.
    pub tracks_on_medium: u16,
    /// The AcoustID track that proved the file.
    pub acoustid: AcoustId,
}
