//! One sample of every event, built by hand. An event added to the vocabulary does not compile here
//! until it has one, because the macro also writes the match that names them all.

use std::cell::Cell;

use domain::chunk::{Content, Digest};
use domain::decision::{
    AttemptDropReason, Choice, ChunkRefusal, CommandRefusal, CutReason, DropReason, HoldReason,
    JobFailure, Refusal, ResumedBy,
};
use domain::id::{AcoustId, ArtistId, ChatId, ReleaseGroupId, TrackId};
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{
    ChatFault, DiskFault, Examination, IdentityMatch, Lookup, LookupFault, PublishFault,
    RemoteFile, SessionEnd, TransferEnd, TransferFault,
};
use domain::score::Ppm;
use domain::target::Credit;
use domain::{
    AssignmentId, ByteRange, Command, Decision, Event, Input, JobId, Observation, PeerId, Policy,
    RecordingId, ReleaseId, SearchId, Seq, SourceId, Target, Timestamp, Track, TrackKey,
};

/// Samples of one enum, with names such as `Command::AddJob`.
macro_rules! samples {
    ($function:ident, $kind:ident: $($variant:ident => { $($field:ident: $value:expr),* },)*) => {
        fn $function() -> Vec<(String, $kind)> {
            // Never called: it is there so that a variant without a sample does not compile.
            #[allow(dead_code)]
            fn every_variant_has_a_sample(kind: &$kind) {
                match kind { $($kind::$variant { .. } => (),)* }
            }
            vec![$((
                concat!(stringify!($kind), "::", stringify!($variant)).to_owned(),
                $kind::$variant { $($field: $value),* },
            ),)*]
        }
    };
}

/// Variants of an enum that stand inside an event, each wrapped into one.
macro_rules! inner {
    ($out:ident, $kind:ident, $wrap:expr, [$($variant:ident => $value:expr,)*]) => {{
        #[allow(dead_code)]
        fn every_variant_has_a_sample(kind: &$kind) {
            match kind { $($kind::$variant { .. } => (),)* }
        }
        $($out.push((
            concat!(stringify!($kind), "::", stringify!($variant)).to_owned(),
            $wrap($value),
        ));)*
    }};
}

const JOB: JobId = JobId(3);
const TRACK: TrackKey = TrackKey { job: JOB, index: 4 };
const ASSIGNMENT: AssignmentId = AssignmentId(500);
const RANGE: ByteRange = ByteRange { start: 262_144, end: 524_288 };
const CONTENT: Content = Content { root: DIGEST, size: 30_000_000, unit: 16_384 };
const DIGEST: Digest = Digest([0xd1; 32]);
const RELEASE: ReleaseId = ReleaseId([0x11; 16]);
const UNTIL: Timestamp = Timestamp(1_700_000_000_000_001);
const PROFILE: CodecProfile =
    CodecProfile { codec: Codec::Flac, sample_rate_hz: 44_100, channels: 2, bit_depth: Some(16) };

thread_local! {
    /// What every text of the samples ends with.
    static TAIL: Cell<&'static str> = const { Cell::new("") };
}

fn text(words: &str) -> String {
    format!("{words}{}", TAIL.get())
}

/// All samples, each text ending with `tail`.
pub fn all_ending_with(tail: &'static str) -> Vec<(String, Event)> {
    TAIL.set(tail);
    let samples = all();
    TAIL.set("");
    samples
}

fn peer() -> PeerId {
    PeerId::Soulseek(text("a peer with a longish name"))
}

fn target() -> Target {
    let credit =
        Credit { name: text("Ada & Bob"), artists: vec![ArtistId([1; 16]), ArtistId([2; 16])] };
    let track = Track {
        id: TrackId([0x77; 16]),
        recording: RecordingId([0x22; 16]),
        medium: 1,
        position: 2,
        title: text("A title"),
        credit: credit.clone(),
        duration_ms: Some(215_000),
        isrcs: vec![text("GBAYE0601498")],
    };
    let last = Track { position: 3, duration_ms: None, isrcs: vec![], ..track.clone() };
    Target {
        release: RELEASE,
        group: Some(ReleaseGroupId([0x12; 16])),
        title: text("An album"),
        credit,
        date: text("1991-11-04"),
        country: text("GB"),
        label: text("A label"),
        barcode: text("5017556202921"),
        media: 1,
        tracks: vec![track, last],
    }
}

samples! { commands, Command:
    AddJob => { release: RELEASE },
    CancelJob => { job: JOB },
    RetryJob => { job: JOB },
    SkipDeadLetter => { view: text("jobs"), event: Seq(77) },
    SendChat => { peer: peer(), text: text("hello") },
    MarkChatRead => { peer: peer(), through: Seq(77) },
}

samples! { observations, Observation:
    NodeStarted => { policy: Policy::default(), engine: 1, build: text("0.1.0") },
    SessionOpened => {},
    SessionClosed => { reason: SessionEnd::Kicked },
    ReleaseFetched => { job: JOB, target: target() },
    LookupFailed => { lookup: Lookup::Release { job: JOB }, fault: LookupFault::NotFound },
    SearchAnswered => {
        job: JOB, search: SearchId(9), peer: peer(), slot_free: true,
        speed_bytes_per_s: 1_000_000, queue_length: 7,
        files: vec![
            RemoteFile {
                path: text("music\\An album\\02 A title.flac"), size: 30_000_000,
                bitrate_kbps: Some(900), duration_s: Some(215)
            },
            RemoteFile { path: text("x"), size: 1, bitrate_kbps: None, duration_s: None }
        ]
    },
    SearchEnded => { job: JOB, search: SearchId(9) },
    PlaceTold => { track: TRACK, assignment: ASSIGNMENT, place: 12 },
    TransferStarted => { track: TRACK, assignment: ASSIGNMENT },
    OverlapCompared => { track: TRACK, assignment: ASSIGNMENT, range: RANGE, equal: true },
    ChunkArrived => { track: TRACK, assignment: ASSIGNMENT, range: RANGE, digest: DIGEST, elapsed_ms: 218 },
    TransferEnded => { track: TRACK, assignment: ASSIGNMENT, end: TransferEnd::Complete },
    FileExamined => {
        track: TRACK, attempt: 2, digest: DIGEST,
        outcome: Examination::Music(Examined {
            profile: PROFILE, duration_ms: 215_012, fingerprint: Fingerprint((0..900).collect())
        })
    },
    StagingLost => { track: TRACK, attempt: 2, detail: text("no such file") },
    RecordingIdentified => {
        track: TRACK, attempt: 2,
        matches: vec![IdentityMatch {
            acoustid: AcoustId([0x33; 16]), score: Ppm(987_654), recordings: vec![RecordingId([0x22; 16])]
        }]
    },
    ExamineFailed => { track: TRACK, attempt: 2, fault: DiskFault::Full },
    FilePublished => { track: TRACK, attempt: 2, path: text("Ada/An album/02.flac"), size: 30_001_000, digest: DIGEST },
    PublishFailed => { track: TRACK, attempt: 2, fault: PublishFault::Disk(DiskFault::Full) },
    FileDiscarded => { track: TRACK, attempt: 2 },
    UploadEnded => { peer: peer(), path: text("shared/x.flac"), sent_bytes: 77, complete: false },
    DeadlineReached => {},
    PeersForgotten => { peers: 2, identity: [0x1d; 16], last: Seq(77), head: DIGEST },
    ContentDescribed => { track: TRACK, content: CONTENT },
    HoldingTold => {
        track: TRACK, peer: PeerId::Mesh(text("9f3c")),
        ranges: vec![RANGE, ByteRange { start: 600_000, end: 700_000 }]
    },
    SlotGranted => { track: TRACK, assignment: ASSIGNMENT },
    PieceSpoiled => { track: TRACK, assignment: ASSIGNMENT, range: RANGE, elapsed_ms: 218 },
    ChatReceived => { peer: peer(), id: 7, sent_at: UNTIL, text: text("hello") },
    ChatSent => { chat: ChatId(5) },
    ChatFailed => { chat: ChatId(5), fault: ChatFault::Busy },
}

samples! { decisions, Decision:
    JobAdded => { job: JOB, release: RELEASE },
    CommandRefused => { reason: CommandRefusal::UnknownJob(JOB) },
    LookupPlanned => { lookup: Lookup::Identity { track: TRACK, attempt: 2 } },
    LookupDeferred => { lookup: Lookup::Release { job: JOB }, fault: LookupFault::NotFound, until: UNTIL },
    JobHeld => { job: JOB, reason: HoldReason::Disk(DiskFault::Full), until: Some(UNTIL) },
    JobResumed => { job: JOB, by: ResumedBy::Pause },
    JobFailed => { job: JOB, reason: JobFailure::NoTracks },
    JobCancelled => { job: JOB },
    JobCompleted => { job: JOB },
    SearchPlanned => { job: JOB, search: SearchId(9), track: Some(TRACK), query: text("ada album") },
    TrackWaiting => { track: TRACK, until: UNTIL },
    SourceFound => {
        track: TRACK, source: SourceId(5), peer: peer(), path: text("music\\02.flac"),
        size: 30_000_000, likeness: Ppm(800_000)
    },
    SourceResized => { track: TRACK, source: SourceId(5), size: 1 },
    SourceDropped => { track: TRACK, source: SourceId(5), reason: DropReason::Refused },
    SourceSetAside => { track: TRACK, attempt: 2, source: SourceId(5) },
    SourceSuspected => { track: TRACK, source: SourceId(5) },
    SourceReturned => { track: TRACK, source: SourceId(5), size: 30_000_000 },
    PeerRested => { track: TRACK, peer: peer(), reason: TransferFault::PeerOffline, until: UNTIL },
    RangeAssigned => {
        track: TRACK, attempt: 2, assignment: ASSIGNMENT, source: SourceId(5), peer: peer(),
        path: text("music\\02.flac"), size: 30_000_000, range: RANGE, overlap: 65_536,
        choice: Choice { candidates: 3, cost_ms: 40_000, next_cost_ms: Some(50_000), takeover: true }
    },
    AssignmentCut => { track: TRACK, assignment: ASSIGNMENT, reason: CutReason::Stalled },
    WaitExtended => { track: TRACK, assignment: ASSIGNMENT, until: UNTIL },
    ChunkAccepted => { track: TRACK, assignment: ASSIGNMENT, range: RANGE, digest: DIGEST },
    ChunkRefused => { track: TRACK, assignment: ASSIGNMENT, range: RANGE, reason: ChunkRefusal::NotNext },
    AttemptDropped => { track: TRACK, attempt: 2, reason: AttemptDropReason::NoSourceLeft },
    FileAssembled => { track: TRACK, attempt: 2, size: 30_000_000 },
    TrackVerified => {
        track: TRACK, attempt: 2, acoustid: AcoustId([0x33; 16]), score: Ppm(987_654),
        path: text("Ada/An album/02.flac")
    },
    TrackRefused => { track: TRACK, attempt: 2, digest: DIGEST, reason: Refusal::Unidentified },
    TrackCompleted => { track: TRACK, attempt: 2, path: text("Ada/An album/02.flac") },
    ReleaseReused => { job: JOB, from: JobId(1) },
    ContentAdopted => { track: TRACK, attempt: 2, content: CONTENT },
    OffsetChosen => { track: TRACK, assignment: ASSIGNMENT, range: RANGE },
    EndMoved => { track: TRACK, assignment: ASSIGNMENT, end: 400_000 },
    SourceSilent => { track: TRACK, source: SourceId(6) },
    ChatPlanned => { chat: ChatId(5), peer: peer(), text: text("hello") },
    ChatTaken => { id: 7 },
}

/// Every command, observation and decision, then every variant of the enums inside them.
pub fn all() -> Vec<(String, Event)> {
    let commands =
        commands().into_iter().map(|(name, it)| (name, Event::Input(Input::Command(it))));
    let observations =
        observations().into_iter().map(|(name, it)| (name, Event::Input(Input::Observation(it))));
    let decisions = decisions().into_iter().map(|(name, it)| (name, Event::Decision(it)));
    let mut all: Vec<_> = commands.chain(observations).chain(decisions).collect();
    inner_enums(&mut all);
    all
}

fn inner_enums(out: &mut Vec<(String, Event)>) {
    let seen = |it| Event::Input(Input::Observation(it));
    let failed = |fault| {
        let end = TransferEnd::Failed(fault);
        seen(Observation::TransferEnded { track: TRACK, assignment: ASSIGNMENT, end })
    };
    let closed = |reason| seen(Observation::SessionClosed { reason });
    let lookup = Lookup::Release { job: JOB };
    let unlooked = |fault| seen(Observation::LookupFailed { lookup, fault });
    let asked = |lookup| Event::Decision(Decision::LookupPlanned { lookup });
    let unread = |fault| seen(Observation::ExamineFailed { track: TRACK, attempt: 2, fault });
    let unpublished = |fault| seen(Observation::PublishFailed { track: TRACK, attempt: 2, fault });
    let unsent = |fault| seen(Observation::ChatFailed { chat: ChatId(5), fault });
    let resumed = |by| Event::Decision(Decision::JobResumed { job: JOB, by });
    let examined = |outcome| {
        seen(Observation::FileExamined { track: TRACK, attempt: 2, digest: DIGEST, outcome })
    };
    let of_codec = |codec| {
        examined(Examination::Music(Examined {
            profile: CodecProfile { codec, bit_depth: None, ..PROFILE },
            duration_ms: 1,
            fingerprint: Fingerprint(vec![]),
        }))
    };
    inner!(out, SessionEnd, closed, [
        Refused => SessionEnd::Refused(text("INVALIDPASS")),
        Kicked => SessionEnd::Kicked,
        CannotListen => SessionEnd::CannotListen(text("port 2234 is in use")),
        Lost => SessionEnd::Lost(text("reset")),
    ]);
    inner!(out, Lookup, asked, [
        Release => lookup,
        Identity => Lookup::Identity { track: TRACK, attempt: 2 },
    ]);
    inner!(out, LookupFault, unlooked, [
        NotFound => LookupFault::NotFound,
        Busy => LookupFault::Busy { status: 503, retry_after_ms: Some(2000) },
        Unreachable => LookupFault::Unreachable(text("dns")),
        Malformed => LookupFault::Malformed(text("json")),
        Refused => LookupFault::Refused(text("bad key")),
    ]);
    inner!(out, TransferFault, failed, [
        PeerOffline => TransferFault::PeerOffline,
        CannotConnect => TransferFault::CannotConnect,
        TimedOut => TransferFault::TimedOut(text("a byte")),
        ConnectionCut => TransferFault::ConnectionCut,
        Denied => TransferFault::Denied(text("Banned")),
        UploadFailed => TransferFault::UploadFailed,
        SizeChanged => TransferFault::SizeChanged(5),
        Surplus => TransferFault::Surplus,
        StagingShort => TransferFault::StagingShort(6),
        Disk => TransferFault::Disk(DiskFault::Full),
        SessionClosed => TransferFault::SessionClosed,
    ]);
    inner!(out, ChatFault, unsent, [
        SessionClosed => ChatFault::SessionClosed,
        Busy => ChatFault::Busy,
        Unsuitable => ChatFault::Unsuitable,
    ]);
    inner!(out, PublishFault, unpublished, [
        Disk => PublishFault::Disk(DiskFault::Full),
        Untaggable => PublishFault::Untaggable(text("broken header")),
    ]);
    inner!(out, ResumedBy, resumed, [
        Person => ResumedBy::Person,
        Pause => ResumedBy::Pause,
        Start => ResumedBy::Start,
    ]);
    inner!(out, DiskFault, unread, [
        Full => DiskFault::Full,
        Other => DiskFault::Other(text("read-only")),
    ]);
    inner!(out, AudioFault, |fault| examined(Examination::Fault(fault)), [
        NotDecodable => AudioFault::NotDecodable(text("zip")),
        Damaged => AudioFault::Damaged { at_ms: 5, detail: text("crc") },
        Truncated => AudioFault::Truncated(text("5 of 9 s")),
        NotIdentifiable => AudioFault::NotIdentifiable(text("silence")),
    ]);
    inner!(out, Codec, of_codec, [
        Flac => Codec::Flac,
        Alac => Codec::Alac,
        Pcm => Codec::Pcm,
        Mp3 => Codec::Mp3,
        Aac => Codec::Aac,
        Vorbis => Codec::Vorbis,
        Opus => Codec::Opus,
        Other => Codec::Other,
    ]);
    reasons(out);
}

fn reasons(out: &mut Vec<(String, Event)>) {
    let decided = Event::Decision;
    let refused = |reason| decided(Decision::CommandRefused { reason });
    let held = |reason| decided(Decision::JobHeld { job: JOB, reason, until: None });
    let lost = |reason| decided(Decision::JobFailed { job: JOB, reason });
    let dropped =
        |reason| decided(Decision::SourceDropped { track: TRACK, source: SourceId(5), reason });
    let cut =
        |reason| decided(Decision::AssignmentCut { track: TRACK, assignment: ASSIGNMENT, reason });
    let unused = |reason| {
        let (track, assignment, range) = (TRACK, ASSIGNMENT, RANGE);
        decided(Decision::ChunkRefused { track, assignment, range, reason })
    };
    let anew = |reason| decided(Decision::AttemptDropped { track: TRACK, attempt: 2, reason });
    let unwanted = |reason| {
        decided(Decision::TrackRefused { track: TRACK, attempt: 2, digest: DIGEST, reason })
    };
    inner!(out, CommandRefusal, refused, [
        Duplicate => CommandRefusal::Duplicate(JOB),
        UnknownJob => CommandRefusal::UnknownJob(JOB),
        JobOver => CommandRefusal::JobOver(JOB),
        NothingToRetry => CommandRefusal::NothingToRetry(JOB),
        NotLoggedIn => CommandRefusal::NotLoggedIn,
    ]);
    inner!(out, HoldReason, held, [
        Disk => HoldReason::Disk(DiskFault::Full),
        Lookup => HoldReason::Lookup(LookupFault::NotFound),
    ]);
    inner!(out, JobFailure, lost, [
        Release => JobFailure::Release(LookupFault::NotFound),
        NoTracks => JobFailure::NoTracks,
    ]);
    inner!(out, DropReason, dropped, [
        Refused => DropReason::Refused,
        Failed => DropReason::Failed(TransferFault::UploadFailed),
        KnownBad => DropReason::KnownBad,
    ]);
    inner!(out, CutReason, cut, [
        Restarted => CutReason::Restarted,
        Stalled => CutReason::Stalled,
        QueuedTooLong => CutReason::QueuedTooLong,
        BadContent => CutReason::BadContent,
        JobStopped => CutReason::JobStopped,
        Failed => CutReason::Failed,
        Overtaken => CutReason::Overtaken,
        Complete => CutReason::Complete,
    ]);
    inner!(out, ChunkRefusal, unused, [
        NotAssigned => ChunkRefusal::NotAssigned,
        NotNext => ChunkRefusal::NotNext,
        KnownBad => ChunkRefusal::KnownBad,
        Held => ChunkRefusal::Held,
    ]);
    inner!(out, AttemptDropReason, anew, [
        NoSourceLeft => AttemptDropReason::NoSourceLeft,
        StagingLost => AttemptDropReason::StagingLost(text("gone")),
    ]);
    inner!(out, Refusal, unwanted, [
        Audio => Refusal::Audio(AudioFault::NotDecodable(text("zip"))),
        WrongDuration => Refusal::WrongDuration { expected_ms: 1, actual_ms: 2 },
        WrongRecording => Refusal::WrongRecording { found: RecordingId([0x55; 16]), score: Ppm(9) },
        Untaggable => Refusal::Untaggable(text("broken header")),
        Unidentified => Refusal::Unidentified,
        KnownBad => Refusal::KnownBad,
    ]);
}
