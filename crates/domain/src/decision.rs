//! What the engine concluded. Decisions are recorded beside the input that caused them; what each
//! asks of the outside is derived in `engine::effects`.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

use crate::chunk::{ByteRange, Content, Digest};
use crate::id::{
    AcoustId, AssignmentId, ChatId, JobId, PeerId, RecordingId, ReleaseId, SearchId, SourceId,
    TrackKey,
};
use crate::media::AudioFault;
use crate::observation::{DiskFault, Lookup, LookupFault, TransferFault};
use crate::score::Ppm;
use crate::time::Timestamp;

/// Something concluded.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum Decision {
    /// A job was accepted.
    JobAdded {
        /// Its number.
        job: JobId,
        /// The edition wanted.
        release: ReleaseId,
    },
    /// A command was not followed.
    CommandRefused {
        /// Why.
        reason: CommandRefusal,
    },
    /// A metadata service is asked.
    LookupPlanned {
        /// What.
        lookup: Lookup,
    },
    /// A failed lookup will be tried again.
    LookupDeferred {
        /// What.
        lookup: Lookup,
        /// Why it failed.
        fault: LookupFault,
        /// When it is tried again.
        until: Timestamp,
    },
    /// A job waits; its transfers are cut and go on from the bytes held.
    JobHeld {
        /// The job.
        job: JobId,
        /// What it waits for.
        reason: HoldReason,
        /// When it goes on by itself; `None` when a person has to act.
        until: Option<Timestamp>,
    },
    /// A held or failed job goes on.
    JobResumed {
        /// The job.
        job: JobId,
        /// Who or what wants it to.
        by: ResumedBy,
    },
    /// A job cannot be done.
    JobFailed {
        /// The job.
        job: JobId,
        /// Why.
        reason: JobFailure,
    },
    /// A job was stopped by command.
    JobCancelled {
        /// The job.
        job: JobId,
    },
    /// Every track of a job stands in the library.
    JobCompleted {
        /// The job.
        job: JobId,
    },
    /// A search is sent.
    SearchPlanned {
        /// The job it serves.
        job: JobId,
        /// Its number.
        search: SearchId,
        /// The one track it is for; `None` for the whole album.
        track: Option<TrackKey>,
        /// The words.
        query: String,
    },
    /// A track has no source; it will be searched for again.
    TrackWaiting {
        /// The track.
        track: TrackKey,
        /// When it is searched for again.
        until: Timestamp,
    },
    /// A remote file seems to be a wanted track.
    SourceFound {
        /// The track.
        track: TrackKey,
        /// Its number within the track.
        source: SourceId,
        /// Who has it.
        peer: PeerId,
        /// Its path in the peer's words.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// How well its name and length fit the track.
        likeness: Ppm,
    },
    /// A source has another size than it offered.
    SourceResized {
        /// The track.
        track: TrackKey,
        /// The source.
        source: SourceId,
        /// Size in bytes from now on.
        size: u64,
    },
    /// A source is not asked again for this track.
    SourceDropped {
        /// The track.
        track: TrackKey,
        /// The source.
        source: SourceId,
        /// Why.
        reason: DropReason,
    },
    /// A source gives other bytes than those held, so it is not asked to continue them. It may well
    /// have the right file: it comes back with the next attempt.
    SourceSetAside {
        /// The track.
        track: TrackKey,
        /// The attempt it cannot continue.
        attempt: u16,
        /// The source.
        source: SourceId,
    },
    /// A source gave part of a damaged file that others gave the rest of. It may be innocent, so it is
    /// not dropped; others come first.
    SourceSuspected {
        /// The track.
        track: TrackKey,
        /// The source.
        source: SourceId,
    },
    /// A source that was dropped for failing is offered again by its peer.
    SourceReturned {
        /// The track.
        track: TrackKey,
        /// The source.
        source: SourceId,
        /// Its size in bytes.
        size: u64,
    },
    /// A peer is left alone for a while.
    PeerRested {
        /// The track at which it failed.
        track: TrackKey,
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: TransferFault,
        /// When it may be asked again.
        until: Timestamp,
    },
    /// A source is asked for bytes.
    RangeAssigned {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// Number of the assignment.
        assignment: AssignmentId,
        /// The source.
        source: SourceId,
        /// Who has it.
        peer: PeerId,
        /// Its path in the peer's words.
        path: String,
        /// Size of the whole file in bytes.
        size: u64,
        /// The bytes wanted: from the byte held to the end, or a part of a file whose content is known.
        range: ByteRange,
        /// Bytes before the range that are read again and compared with those held.
        overlap: u64,
        /// Why this source.
        choice: Choice,
    },
    /// An assignment is taken back.
    AssignmentCut {
        /// The track.
        track: TrackKey,
        /// The assignment.
        assignment: AssignmentId,
        /// Why.
        reason: CutReason,
    },
    /// A queued assignment has no better alternative and may wait on.
    WaitExtended {
        /// The track.
        track: TrackKey,
        /// The assignment.
        assignment: AssignmentId,
        /// When alternatives are looked for again.
        until: Timestamp,
    },
    /// Bytes are now part of the track's file.
    ChunkAccepted {
        /// The track.
        track: TrackKey,
        /// The assignment they came by.
        assignment: AssignmentId,
        /// Which bytes.
        range: ByteRange,
        /// BLAKE3 of the bytes.
        digest: Digest,
    },
    /// Bytes are not used.
    ChunkRefused {
        /// The track.
        track: TrackKey,
        /// The assignment they came by.
        assignment: AssignmentId,
        /// Which bytes.
        range: ByteRange,
        /// Why.
        reason: ChunkRefusal,
    },
    /// The bytes held are given up and the track starts anew.
    AttemptDropped {
        /// The track.
        track: TrackKey,
        /// The attempt given up.
        attempt: u16,
        /// Why.
        reason: AttemptDropReason,
    },
    /// Every byte is here.
    FileAssembled {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// Size in bytes.
        size: u64,
    },
    /// The file is the recording wanted.
    TrackVerified {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// The AcoustID track that proved it.
        acoustid: AcoustId,
        /// How alike.
        score: Ppm,
        /// Where it is to stand, relative to the music folder.
        path: String,
    },
    /// The file is not what is wanted. Its content is remembered and never fetched again.
    TrackRefused {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// BLAKE3 of the whole file.
        digest: Digest,
        /// Why.
        reason: Refusal,
    },
    /// The track stands in the library.
    TrackCompleted {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// Where, relative to the music folder.
        path: String,
    },
    /// The exact bytes of a track's file are known from now on, so that any number of sources may be
    /// asked for parts of it at once.
    ContentAdopted {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// What its bytes are checked against.
        content: Content,
    },
    /// A source that streams and has given us a turn is told where to begin.
    OffsetChosen {
        /// The track.
        track: TrackKey,
        /// The assignment.
        assignment: AssignmentId,
        /// The bytes wanted: it begins at the first of them and is ended after the last.
        range: ByteRange,
    },
    /// An assignment ends sooner or later than was said: somebody else is asked for what comes behind, or
    /// nobody is any more.
    EndMoved {
        /// The track.
        track: TrackKey,
        /// The assignment.
        assignment: AssignmentId,
        /// One past its last byte from now on.
        end: u64,
    },
    /// A source has been silent for so long that others may be asked for what it was asked for. It
    /// keeps its assignments and may wake up.
    SourceSilent {
        /// The track.
        track: TrackKey,
        /// The source.
        source: SourceId,
    },
    /// A release was described for another job not long ago; nobody is asked again.
    ReleaseReused {
        /// The job that needs the description.
        job: JobId,
        /// The job that has it.
        from: JobId,
    },
    /// A message is sent.
    ChatPlanned {
        /// Its number.
        chat: ChatId,
        /// To whom.
        peer: PeerId,
        /// What.
        text: String,
    },
    /// Something that was said to us is recorded, so the server need not say it again.
    ChatTaken {
        /// The server's number for it.
        id: u32,
    },
}

/// Why one source was chosen: the terms of the choice.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choice {
    /// Sources that could have been asked at this moment.
    pub candidates: u32,
    /// Expected time until the last byte from the chosen one, in milliseconds.
    pub cost_ms: u64,
    /// The same of the next best, when there was one.
    pub next_cost_ms: Option<u64>,
    /// Whether bytes of another assignment are continued.
    pub takeover: bool,
}

/// Why a command was not followed.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandRefusal {
    /// A job for this release is already at work or done.
    Duplicate(JobId),
    /// There is no such job.
    UnknownJob(JobId),
    /// The job is over.
    JobOver(JobId),
    /// The job is neither waiting nor failed.
    NothingToRetry(JobId),
    /// We are not logged in to the Soulseek server.
    NotLoggedIn,
}

impl fmt::Display for CommandRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(job) => write!(f, "job {job} already has this release"),
            Self::UnknownJob(job) => write!(f, "there is no job {job}"),
            Self::JobOver(job) => write!(f, "job {job} is over"),
            Self::NothingToRetry(job) => write!(f, "job {job} waits for nothing"),
            Self::NotLoggedIn => f.write_str("we are not logged in to the Soulseek server"),
        }
    }
}

/// Who or what lets a job go on.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResumedBy {
    /// A person: whatever it waits for is tried at once.
    Person,
    /// The end of its pause: only what it was held for is tried.
    Pause,
    /// A new run of the node, which may have another configuration or more space.
    Start,
}

impl fmt::Display for ResumedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Person => "person",
            Self::Pause => "pause",
            Self::Start => "start",
        })
    }
}

/// What a job waits for.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum HoldReason {
    /// Our disk.
    Disk(DiskFault),
    /// A metadata service refused for a reason that waiting does not change.
    Lookup(LookupFault),
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => fault.fmt(f),
            Self::Lookup(fault) => write!(f, "metadata service {fault}"),
        }
    }
}

/// Why a job cannot be done.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobFailure {
    /// The release could not be described.
    Release(LookupFault),
    /// The release lists no recordings.
    NoTracks,
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(LookupFault::NotFound) => {
                f.write_str("MusicBrainz knows no release with this ID")
            }
            Self::Release(fault) => write!(f, "the release could not be looked up: {fault}"),
            Self::NoTracks => f.write_str("the release lists no recordings"),
        }
    }
}

/// Why a source is not asked again for a track.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// It gave bytes of a file that was refused.
    Refused,
    /// It failed too often; the last fault.
    Failed(TransferFault),
    /// It began to send content that was refused before.
    KnownBad,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("its file was refused"),
            Self::Failed(fault) => fault.fmt(f),
            Self::KnownBad => f.write_str("its content was refused before"),
        }
    }
}

/// Why an assignment was taken back.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CutReason {
    /// The process that ran it is gone.
    Restarted,
    /// No byte for too long.
    Stalled,
    /// Queued for too long while another source is free.
    QueuedTooLong,
    /// It sends what is not wanted.
    BadContent,
    /// Its job was held or cancelled.
    JobStopped,
    /// It failed by itself.
    Failed,
    /// Others gave what it was asked for.
    Overtaken,
    /// All that it was asked for came.
    Complete,
}

impl fmt::Display for CutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restarted => "restarted",
            Self::Stalled => "stalled",
            Self::QueuedTooLong => "queued too long",
            Self::BadContent => "bad content",
            Self::JobStopped => "job stopped",
            Self::Failed => "failed",
            Self::Overtaken => "overtaken",
            Self::Complete => "complete",
        })
    }
}

/// Why bytes are not used.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkRefusal {
    /// No such assignment is open: a late copy.
    NotAssigned,
    /// They do not continue the bytes held, or reach past the end.
    NotNext,
    /// They begin a file that was refused before.
    KnownBad,
    /// They came from somebody else before.
    Held,
}

impl fmt::Display for ChunkRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAssigned => "not assigned",
            Self::NotNext => "not next",
            Self::KnownBad => "known bad",
            Self::Held => "held",
        })
    }
}

/// Why the bytes held were given up.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttemptDropReason {
    /// No source is left that has the same file.
    NoSourceLeft,
    /// Staging lost them.
    StagingLost(String),
}

impl fmt::Display for AttemptDropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSourceLeft => f.write_str("no source has the same file"),
            Self::StagingLost(detail) => write!(f, "staging lost it: {detail}"),
        }
    }
}

/// Why a whole file is not what is wanted.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It cannot be decoded from start to end.
    Audio(AudioFault),
    /// Its length is wrong.
    WrongDuration {
        /// The track's length in milliseconds.
        expected_ms: u64,
        /// The file's length in milliseconds.
        actual_ms: u64,
    },
    /// It sounds like other recordings: the best match.
    WrongRecording {
        /// What it is.
        found: RecordingId,
        /// How alike.
        score: Ppm,
    },
    /// AcoustID knows nothing like it, so it cannot be proved.
    Unidentified,
    /// Its tags cannot be written.
    Untaggable(String),
    /// The same bytes were refused before.
    KnownBad,
}

impl Refusal {
    /// The recording that the refusal is about: the file may well be right for another. `None` when it
    /// is right for nothing.
    #[must_use]
    pub const fn about(&self, wanted: RecordingId) -> Option<RecordingId> {
        match self {
            Self::Audio(_) | Self::Untaggable(_) => None,
            Self::WrongDuration { .. }
            | Self::WrongRecording { .. }
            | Self::Unidentified
            | Self::KnownBad => Some(wanted),
        }
    }

    /// True when the fault is of the music itself, so that any file that begins alike has it too.
    /// Damage is of one copy: another of the same size and beginning may be whole.
    #[must_use]
    pub const fn is_of_the_music(&self) -> bool {
        match self {
            Self::Audio(AudioFault::Damaged { .. } | AudioFault::Truncated(_)) | Self::KnownBad => {
                false
            }
            Self::Audio(AudioFault::NotDecodable(_) | AudioFault::NotIdentifiable(_))
            | Self::Untaggable(_)
            | Self::WrongDuration { .. }
            | Self::WrongRecording { .. }
            | Self::Unidentified => true,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audio(fault) => fault.fmt(f),
            Self::WrongDuration { expected_ms, actual_ms } => write!(
                f,
                "wrong length: {}.{} s instead of {}.{} s",
                actual_ms / 1000,
                actual_ms % 1000 / 100,
                expected_ms / 1000,
                expected_ms % 1000 / 100
            ),
            Self::WrongRecording { found, score } => {
                write!(f, "wrong recording: it is {found} ({score} alike)")
            }
            Self::Unidentified => f.write_str("AcoustID knows no such recording"),
            Self::Untaggable(detail) => write!(f, "cannot be tagged: {detail}"),
            Self::KnownBad => f.write_str("the same file was refused before"),
        }
    }
}
