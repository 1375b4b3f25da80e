//! What was seen of the outside. Each is the answer to an [`crate::Effect`], or news nobody asked for.
//! Strange news is still recorded: what to make of it is a decision.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

use crate::chunk::{ByteRange, Content, Digest};
use crate::event::Seq;
use crate::id::{AcoustId, AssignmentId, ChatId, JobId, PeerId, RecordingId, SearchId, TrackKey};
use crate::media::{AudioFault, Examined};
use crate::policy::Policy;
use crate::score::Ppm;
use crate::target::Target;
use crate::time::Timestamp;

/// Something seen.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum Observation {
    /// A run of the node began. Whatever the process before it was doing has ended.
    NodeStarted {
        /// Limits of this run.
        policy: Policy,
        /// Version of the decision rules; a replay by another version may decide otherwise.
        engine: u32,
        /// The build, for people.
        build: String,
    },
    /// The Soulseek server let us in.
    SessionOpened,
    /// We are no longer logged in to the Soulseek server.
    SessionClosed {
        /// Why.
        reason: SessionEnd,
    },
    /// A release was described.
    ReleaseFetched {
        /// The job that asked.
        job: JobId,
        /// The description.
        target: Target,
    },
    /// A metadata service did not answer usefully.
    LookupFailed {
        /// What was asked.
        lookup: Lookup,
        /// Why there is no answer.
        fault: LookupFault,
    },
    /// A peer answered a search.
    SearchAnswered {
        /// The job that asked.
        job: JobId,
        /// The search.
        search: SearchId,
        /// Who answered.
        peer: PeerId,
        /// Whether the peer could start an upload at once.
        slot_free: bool,
        /// The peer's upload speed as the network tells it, in bytes per second.
        speed_bytes_per_s: u32,
        /// Uploads waiting at the peer.
        queue_length: u32,
        /// The files it offers.
        files: Vec<RemoteFile>,
    },
    /// A search collects no more answers.
    SearchEnded {
        /// The job that asked.
        job: JobId,
        /// The search.
        search: SearchId,
    },
    /// A peer told our place in its queue.
    PlaceTold {
        /// The track.
        track: TrackKey,
        /// The waiting assignment.
        assignment: AssignmentId,
        /// 1 is next.
        place: u32,
    },
    /// A peer began to send.
    TransferStarted {
        /// The track.
        track: TrackKey,
        /// The assignment it serves.
        assignment: AssignmentId,
    },
    /// The bytes before a takeover were read again from the new source and compared.
    OverlapCompared {
        /// The track.
        track: TrackKey,
        /// The assignment that took over.
        assignment: AssignmentId,
        /// The bytes compared.
        range: ByteRange,
        /// Whether they were the ones held.
        equal: bool,
    },
    /// Bytes arrived and are in staging.
    ChunkArrived {
        /// The track.
        track: TrackKey,
        /// The assignment they came by.
        assignment: AssignmentId,
        /// Which bytes.
        range: ByteRange,
        /// BLAKE3 of the bytes.
        digest: Digest,
        /// Time since the chunk before, in milliseconds.
        elapsed_ms: u64,
    },
    /// A transfer is over.
    TransferEnded {
        /// The track.
        track: TrackKey,
        /// The assignment.
        assignment: AssignmentId,
        /// How it ended.
        end: TransferEnd,
    },
    /// A staged file was decoded from start to end.
    FileExamined {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// BLAKE3 of the whole file.
        digest: Digest,
        /// What it is.
        outcome: Examination,
    },
    /// A staged file could not be read; it may be as good as ever.
    ExamineFailed {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// Why.
        fault: DiskFault,
    },
    /// A staged file is not as it was left.
    StagingLost {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// What was found instead.
        detail: String,
    },
    /// A fingerprint was looked up.
    RecordingIdentified {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// What it may be, best first; empty when the service knows nothing like it.
        matches: Vec<IdentityMatch>,
    },
    /// A verified file stands tagged in the library.
    FilePublished {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// Where, relative to the music folder.
        path: String,
        /// Its size in bytes, tags included.
        size: u64,
        /// BLAKE3 of it, tags included.
        digest: Digest,
    },
    /// A verified file could not be put into the library.
    PublishFailed {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
        /// Why.
        fault: PublishFault,
    },
    /// A staged file is gone.
    FileDiscarded {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
    },
    /// An upload of ours to somebody is over.
    UploadEnded {
        /// Who fetched.
        peer: PeerId,
        /// What, by its shared name.
        path: String,
        /// Bytes sent.
        sent_bytes: u64,
        /// Whether that was all the peer asked for.
        complete: bool,
    },
    /// Somebody described the exact bytes of a track's file.
    ContentDescribed {
        /// The track.
        track: TrackKey,
        /// What they are checked against.
        content: Content,
    },
    /// A node of the mesh told which bytes of a track's file it holds; again when that changes.
    HoldingTold {
        /// The track.
        track: TrackKey,
        /// Who holds them.
        peer: PeerId,
        /// The bytes it holds; all of the file when it says nothing else.
        ranges: Vec<ByteRange>,
    },
    /// It is our turn with a peer that streams: it waits for an offset.
    SlotGranted {
        /// The track.
        track: TrackKey,
        /// The waiting assignment.
        assignment: AssignmentId,
    },
    /// Bytes arrived that are not those of the content; they are not in staging.
    PieceSpoiled {
        /// The track.
        track: TrackKey,
        /// The assignment they came by.
        assignment: AssignmentId,
        /// Which bytes: whole units.
        range: ByteRange,
        /// Time since the chunk before, in milliseconds.
        elapsed_ms: u64,
    },
    /// The moment the engine asked to be woken at has come.
    DeadlineReached,
    /// The log was told anew, with other names for some peers: what is before this event is true but for
    /// who they were. Recorded by `reprise log forget`.
    PeersForgotten {
        /// How many peers have other names.
        peers: u32,
        /// Identity of the log that this one was told from.
        identity: [u8; 16],
        /// Its last event.
        last: Seq,
        /// Hash of its last block, by which whoever kept it knows that log again.
        head: Digest,
    },
    /// Somebody said something to us. The server says it again at each login until it is acknowledged,
    /// with the same number and time.
    ChatReceived {
        /// Who.
        peer: PeerId,
        /// The server's number for it.
        id: u32,
        /// When the server got it, by its clock, in whole seconds.
        sent_at: Timestamp,
        /// What, at most [`crate::chat::LONGEST_TEXT`] bytes of it.
        text: String,
    },
    /// A message of ours was handed to the server, which does not say whether it arrived.
    ChatSent {
        /// The message.
        chat: ChatId,
    },
    /// A message of ours was not handed to the server.
    ChatFailed {
        /// The message.
        chat: ChatId,
        /// Why.
        fault: ChatFault,
    },
}

/// One file in a search answer, as its peer describes it.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteFile {
    /// Path in the peer's words, with `\` between its parts.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Bitrate in kbit/s, if told.
    pub bitrate_kbps: Option<u32>,
    /// Length in seconds, if told.
    pub duration_s: Option<u32>,
}

/// One thing a metadata service can be asked.
#[derive(
    Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Lookup {
    /// What tracks does the job's release have?
    Release {
        /// The job.
        job: JobId,
    },
    /// Which recording has the fingerprint of this attempt's file?
    Identity {
        /// The track.
        track: TrackKey,
        /// Which attempt at the track.
        attempt: u16,
    },
}

/// Why a metadata service gave no useful answer.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum LookupFault {
    /// It does not know the thing.
    NotFound,
    /// It is overloaded or wants us slower (HTTP 429, 5xx).
    Busy {
        /// HTTP status.
        status: u16,
        /// How long it asked us to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It could not be reached, or not in time.
    Unreachable(String),
    /// It answered something that is not what it documents.
    Malformed(String),
    /// It refused us for a reason that waiting does not change, such as a bad key.
    Refused(String),
}

impl LookupFault {
    /// True when asking the same again later may help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unreachable(_))
    }
}

impl fmt::Display for LookupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Busy { status, .. } => write!(f, "busy (HTTP {status})"),
            Self::Unreachable(detail) => write!(f, "unreachable: {detail}"),
            Self::Malformed(detail) => write!(f, "answer not understood: {detail}"),
            Self::Refused(detail) => write!(f, "refused: {detail}"),
        }
    }
}

/// Why a message was not sent.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatFault {
    /// Our session with the Soulseek server had ended.
    SessionClosed,
    /// Too much waited to be sent to the server.
    Busy,
    /// No server takes such a message.
    Unsuitable,
}

impl fmt::Display for ChatFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SessionClosed => "our session closed",
            Self::Busy => "too much waits to be sent",
            Self::Unsuitable => "no server takes such a message",
        })
    }
}

/// Why we are not logged in.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    /// The server said no, in its words; asking again with the same configuration will not help.
    Refused(String),
    /// Somebody logged in with our name.
    Kicked,
    /// We cannot listen for other users; the node tries again by itself.
    CannotListen(String),
    /// The connection failed or was lost; the node tries again by itself.
    Lost(String),
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(detail) => write!(f, "login refused: {detail}"),
            Self::Kicked => f.write_str("the same user name logged in elsewhere"),
            Self::CannotListen(detail) => write!(f, "cannot listen for others: {detail}"),
            Self::Lost(detail) => write!(f, "connection lost: {detail}"),
        }
    }
}

/// How a transfer ended.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransferEnd {
    /// Every byte of the range came.
    Complete,
    /// It did not.
    Failed(TransferFault),
}

/// Why a transfer failed.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransferFault {
    /// The peer is not logged in.
    PeerOffline,
    /// No way to the peer, direct or indirect.
    CannotConnect,
    /// The peer stopped answering; what was waited for.
    TimedOut(String),
    /// The connection broke off.
    ConnectionCut,
    /// The peer refuses the file; its words.
    Denied(String),
    /// The peer said that its upload failed.
    UploadFailed,
    /// The file at the peer has another size than it offered, in bytes.
    SizeChanged(u64),
    /// The peer sent more than it promised; the surplus was cut off.
    Surplus,
    /// Staging holds fewer bytes than were recorded; how many it holds.
    StagingShort(u64),
    /// Our own disk.
    Disk(DiskFault),
    /// Our own session with the Soulseek server ended.
    SessionClosed,
}

impl fmt::Display for TransferFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerOffline => f.write_str("peer offline"),
            Self::CannotConnect => f.write_str("cannot connect"),
            Self::TimedOut(what) => write!(f, "timed out waiting for {what}"),
            Self::ConnectionCut => f.write_str("connection cut"),
            Self::Denied(words) => write!(f, "denied: {words}"),
            Self::UploadFailed => f.write_str("upload failed at the peer"),
            Self::SizeChanged(size) => write!(f, "size is now {size} B"),
            Self::Surplus => f.write_str("sent more than promised"),
            Self::StagingShort(have) => write!(f, "staging holds only {have} B"),
            Self::Disk(fault) => fault.fmt(f),
            Self::SessionClosed => f.write_str("our session closed"),
        }
    }
}

/// What our own disk refused.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum DiskFault {
    /// No space left.
    Full,
    /// Anything else, in the system's words.
    Other(String),
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("disk full"),
            Self::Other(detail) => write!(f, "disk: {detail}"),
        }
    }
}

/// Why a verified file could not be put into the library.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublishFault {
    /// Our disk.
    Disk(DiskFault),
    /// Its tags cannot be written: what can be heard is right, what is around it is broken.
    Untaggable(String),
}

impl fmt::Display for PublishFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fault) => fault.fmt(f),
            Self::Untaggable(detail) => write!(f, "cannot be tagged: {detail}"),
        }
    }
}

/// What a staged file turned out to be.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum Examination {
    /// Music that decodes from start to end.
    Music(Examined),
    /// Something we cannot vouch for.
    Fault(AudioFault),
}

/// One AcoustID track that sounds like the file.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentityMatch {
    /// The AcoustID track.
    pub acoustid: AcoustId,
    /// How alike.
    pub score: Ppm,
    /// The MusicBrainz recordings linked to it.
    pub recordings: Vec<RecordingId>,
}
