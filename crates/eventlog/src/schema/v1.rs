//! The first version of every event's fields. Nothing here may change, and no type used here may
//! change how it is archived: `schema/events.lock` tells when one does. The older form is then copied
//! here before the vocabulary moves on.
//!
//! One table is the whole truth: from it come the structs that are archived, the numbers, and both
//! directions of the conversion. An event that the table lacks does not compile.

use domain::chunk::{Content, Digest};
use domain::decision::{
    AttemptDropReason, Choice, ChunkRefusal, CommandRefusal, CutReason, DropReason, HoldReason,
    JobFailure, Refusal, ResumedBy,
};
use domain::id::{AcoustId, ChatId};
use domain::observation::{
    ChatFault, DiskFault, Examination, IdentityMatch, Lookup, LookupFault, PublishFault,
    RemoteFile, SessionEnd, TransferEnd, TransferFault,
};
use domain::score::Ppm;
use domain::{
    AssignmentId, ByteRange, Command, Decision, Event, Input, JobId, Observation, PeerId, Policy,
    ReleaseId, SearchId, Seq, SourceId, Target, Timestamp, TrackKey,
};
use rkyv::rancor;

type Written = Result<(u16, Vec<u8>), rancor::Error>;
type Read<T> = Option<Result<T, rancor::Error>>;

macro_rules! events {
    ($($module:ident, $kind:ident {
        $($number:literal $variant:ident { $($field:ident: $type:ty),* $(,)? })*
    })*) => {
        $(
            /// The fields as they are archived.
            mod $module {
                // rkyv's derive writes undocumented mirror types.
                #![allow(missing_docs)]
                use super::*;
                $(events!(@struct $variant { $($field: $type),* });)*

                pub(super) fn write(event: &$kind, out: Vec<u8>) -> Written {
                    match event {
                        $($kind::$variant { $($field),* } => {
                            Ok(($number, events!(@write out, $variant { $($field),* })))
                        })*
                    }
                }

                pub(super) fn read(number: u16, bytes: &[u8]) -> Read<$kind> {
                    match number {
                        $($number => Some(events!(@read bytes, $kind $variant { $($field: $type),* })),)*
                        _ => None,
                    }
                }

                pub(super) fn name(number: u16) -> Option<&'static str> {
                    match number {
                        $($number => Some(concat!(stringify!($kind), "::", stringify!($variant))),)*
                        _ => None,
                    }
                }
            }
        )*
    };
    (@struct $variant:ident {}) => {};
    (@struct $variant:ident { $($field:ident: $type:ty),+ }) => {
        #[derive(rkyv::Archive, rkyv::Serialize)]
        pub(super) struct $variant<'a> {
            $(#[rkyv(with = rkyv::with::Inline)] pub(super) $field: &'a $type,)+
        }
    };
    (@write $out:ident, $variant:ident {}) => { $out };
    (@write $out:ident, $variant:ident { $($field:ident),+ }) => {
        rkyv::api::high::to_bytes_in::<_, rancor::Error>(&$variant { $($field),+ }, $out)?
    };
    (@read $bytes:ident, $kind:ident $variant:ident {}) => {
        if $bytes.is_empty() {
            Ok($kind::$variant {})
        } else {
            Err(<rancor::Error as rancor::Source>::new(Surplus))
        }
    };
    (@read $bytes:ident, $kind:ident $variant:ident { $($field:ident: $type:ty),+ }) => {
        rkyv::access::<rkyv::Archived<$variant<'_>>, rancor::Error>($bytes).and_then(|stored| {
            Ok($kind::$variant {
                $($field: rkyv::deserialize::<$type, rancor::Error>(&stored.$field)?),+
            })
        })
    };
}

events! {
    commands, Command {
        1 AddJob { release: ReleaseId }
        2 CancelJob { job: JobId }
        3 RetryJob { job: JobId }
        4 SkipDeadLetter { view: String, event: Seq }
        10 SendChat { peer: PeerId, text: String }
        11 MarkChatRead { peer: PeerId, through: Seq }
    }
    observations, Observation {
        100 NodeStarted { policy: Policy, engine: u32, build: String }
        101 SessionOpened {}
        102 SessionClosed { reason: SessionEnd }
        103 ReleaseFetched { job: JobId, target: Target }
        104 LookupFailed { lookup: Lookup, fault: LookupFault }
        105 SearchAnswered {
            job: JobId, search: SearchId, peer: PeerId, slot_free: bool, speed_bytes_per_s: u32,
            queue_length: u32, files: Vec<RemoteFile>,
        }
        106 SearchEnded { job: JobId, search: SearchId }
        107 PlaceTold { track: TrackKey, assignment: AssignmentId, place: u32 }
        108 TransferStarted { track: TrackKey, assignment: AssignmentId }
        109 OverlapCompared {
            track: TrackKey, assignment: AssignmentId, range: ByteRange, equal: bool,
        }
        110 ChunkArrived {
            track: TrackKey, assignment: AssignmentId, range: ByteRange, digest: Digest,
            elapsed_ms: u64,
        }
        111 TransferEnded { track: TrackKey, assignment: AssignmentId, end: TransferEnd }
        112 FileExamined { track: TrackKey, attempt: u16, digest: Digest, outcome: Examination }
        113 ExamineFailed { track: TrackKey, attempt: u16, fault: DiskFault }
        114 StagingLost { track: TrackKey, attempt: u16, detail: String }
        115 RecordingIdentified { track: TrackKey, attempt: u16, matches: Vec<IdentityMatch> }
        116 FilePublished {
            track: TrackKey, attempt: u16, path: String, size: u64, digest: Digest,
        }
        117 PublishFailed { track: TrackKey, attempt: u16, fault: PublishFault }
        118 FileDiscarded { track: TrackKey, attempt: u16 }
        119 UploadEnded { peer: PeerId, path: String, sent_bytes: u64, complete: bool }
        120 DeadlineReached {}
        130 ContentDescribed { track: TrackKey, content: Content }
        131 HoldingTold { track: TrackKey, peer: PeerId, ranges: Vec<ByteRange> }
        132 SlotGranted { track: TrackKey, assignment: AssignmentId }
        133 PieceSpoiled {
            track: TrackKey, assignment: AssignmentId, range: ByteRange, elapsed_ms: u64,
        }
        134 PeersForgotten { peers: u32, identity: [u8; 16], last: Seq, head: Digest }
        150 ChatReceived { peer: PeerId, id: u32, sent_at: Timestamp, text: String }
        151 ChatSent { chat: ChatId }
        152 ChatFailed { chat: ChatId, fault: ChatFault }
    }
    decisions, Decision {
        200 JobAdded { job: JobId, release: ReleaseId }
        201 CommandRefused { reason: CommandRefusal }
        202 LookupPlanned { lookup: Lookup }
        203 LookupDeferred { lookup: Lookup, fault: LookupFault, until: Timestamp }
        204 JobHeld { job: JobId, reason: HoldReason, until: Option<Timestamp> }
        205 JobResumed { job: JobId, by: ResumedBy }
        206 JobFailed { job: JobId, reason: JobFailure }
        207 JobCancelled { job: JobId }
        208 JobCompleted { job: JobId }
        209 SearchPlanned {
            job: JobId, search: SearchId, track: Option<TrackKey>, query: String,
        }
        210 TrackWaiting { track: TrackKey, until: Timestamp }
        211 SourceFound {
            track: TrackKey, source: SourceId, peer: PeerId, path: String, size: u64,
            likeness: Ppm,
        }
        212 SourceResized { track: TrackKey, source: SourceId, size: u64 }
        213 SourceDropped { track: TrackKey, source: SourceId, reason: DropReason }
        214 SourceSetAside { track: TrackKey, attempt: u16, source: SourceId }
        215 SourceSuspected { track: TrackKey, source: SourceId }
        216 SourceReturned { track: TrackKey, source: SourceId, size: u64 }
        217 PeerRested { track: TrackKey, peer: PeerId, reason: TransferFault, until: Timestamp }
        218 RangeAssigned {
            track: TrackKey, attempt: u16, assignment: AssignmentId, source: SourceId,
            peer: PeerId, path: String, size: u64, range: ByteRange, overlap: u64, choice: Choice,
        }
        219 AssignmentCut { track: TrackKey, assignment: AssignmentId, reason: CutReason }
        220 WaitExtended { track: TrackKey, assignment: AssignmentId, until: Timestamp }
        221 ChunkAccepted {
            track: TrackKey, assignment: AssignmentId, range: ByteRange, digest: Digest,
        }
        222 ChunkRefused {
            track: TrackKey, assignment: AssignmentId, range: ByteRange, reason: ChunkRefusal,
        }
        223 AttemptDropped { track: TrackKey, attempt: u16, reason: AttemptDropReason }
        224 FileAssembled { track: TrackKey, attempt: u16, size: u64 }
        225 TrackVerified {
            track: TrackKey, attempt: u16, acoustid: AcoustId, score: Ppm, path: String,
        }
        226 TrackRefused { track: TrackKey, attempt: u16, digest: Digest, reason: Refusal }
        227 TrackCompleted { track: TrackKey, attempt: u16, path: String }
        228 ReleaseReused { job: JobId, from: JobId }
        240 ContentAdopted { track: TrackKey, attempt: u16, content: Content }
        241 OffsetChosen { track: TrackKey, assignment: AssignmentId, range: ByteRange }
        242 EndMoved { track: TrackKey, assignment: AssignmentId, end: u64 }
        243 SourceSilent { track: TrackKey, source: SourceId }
        260 ChatPlanned { chat: ChatId, peer: PeerId, text: String }
        261 ChatTaken { id: u32 }
    }
}

/// An event without fields came with some.
#[derive(Debug, thiserror::Error)]
#[error("an event without fields has a payload")]
struct Surplus;

/// Appends the fields of an event to `out`, and tells the number of its type.
pub(super) fn write(event: &Event, out: Vec<u8>) -> Written {
    match event {
        Event::Input(Input::Command(command)) => commands::write(command, out),
        Event::Input(Input::Observation(seen)) => observations::write(seen, out),
        Event::Decision(decision) => decisions::write(decision, out),
    }
}

/// Reads the fields of an event of the type with this number; `None` when there is no such type.
pub(super) fn read(number: u16, bytes: &[u8]) -> Read<Event> {
    match number {
        0..100 => Some(commands::read(number, bytes)?.map(|it| Event::Input(Input::Command(it)))),
        100..200 => {
            Some(observations::read(number, bytes)?.map(|it| Event::Input(Input::Observation(it))))
        }
        200.. => Some(decisions::read(number, bytes)?.map(Event::Decision)),
    }
}

/// Name of the type with this number.
pub(super) fn name(number: u16) -> Option<&'static str> {
    commands::name(number)
        .or_else(|| observations::name(number))
        .or_else(|| decisions::name(number))
}
