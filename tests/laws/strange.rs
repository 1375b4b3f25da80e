//! Whatever enters in whatever order, the engine decides and keeps its limits: inputs that fit nothing,
//! and lives of the simulated world with inputs dropped, repeated, delayed and put in. Which variants
//! there are to draw is kept complete by the compiler.

use domain::chunk::{CHUNK_BYTES, Content, Digest};
use domain::id::{AcoustId, ArtistId, ChatId, TrackId};
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{
    ChatFault, DiskFault, Examination, IdentityMatch, Lookup, LookupFault, PublishFault,
    RemoteFile, SessionEnd, TransferEnd, TransferFault,
};
use domain::score::Ppm;
use domain::target::Credit;
use domain::{
    AssignmentId, ByteRange, Command, Envelope, Event, Input, JobId, Observation, PeerId, Policy,
    RecordingId, ReleaseId, SearchId, Seq, Target, Timestamp, Track, TrackKey,
};
use engine::{Engine, VERSION};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use sim::{check, fault, run};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_inputs_in_any_order_are_decided_on(
        inputs in prop::collection::vec((any_input(), any_wait()), 1..120),
        policy in any_policy(),
    ) {
        let mut at = Timestamp(1_790_000_000_000_000);
        let inputs = inputs.into_iter().map(|(input, wait_ms)| {
            at = at.plus_ms(wait_ms);
            (input, at)
        });
        obeys(inputs.collect(), policy)?;
    }

    #[test]
    fn a_life_with_inputs_lost_repeated_delayed_and_put_in_is_decided_on(
        seed in any::<u64>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_change()), 1..40),
    ) {
        let policy = Policy::default();
        let mut inputs: Vec<(Input, Timestamp)> = run::run(seed, &fault::drawn(seed))
            .log
            .into_iter()
            .filter_map(|envelope| match envelope.event {
                Event::Input(input) => Some((input, envelope.at)),
                Event::Decision(_) => None,
            })
            .collect();
        for (place, change) in changes {
            let index = place.index(inputs.len());
            let (input, at) = inputs[index].clone();
            match change {
                Change::Lose if inputs.len() > 1 => drop(inputs.remove(index)),
                Change::Lose => {}
                Change::Repeat => inputs.insert(index, (input, at)),
                Change::Delay(places) => {
                    let later = (index + places).min(inputs.len() - 1);
                    // They change places, and each enters when it is its turn.
                    (inputs[index].0, inputs[later].0) = (inputs[later].0.clone(), input);
                }
                Change::PutIn(input) => inputs.insert(index, (*input, at)),
            }
        }
        obeys(inputs, policy)?;
    }
}

/// Steps all inputs after a start. The laws look at every step of the log, so once is enough.
fn obeys(inputs: Vec<(Input, Timestamp)>, policy: Policy) -> Result<(), TestCaseError> {
    let started = started(policy);
    let begin = inputs.first().map_or(Timestamp(0), |(_, at)| *at);
    let (mut engine, mut log) = (Engine::new(), Vec::new());
    for (input, at) in std::iter::once((Input::Observation(started.clone()), begin)).chain(inputs) {
        // One policy all the time: what was within the old one need not be within the new.
        let input = match input {
            Input::Observation(Observation::NodeStarted { .. }) => {
                Input::Observation(started.clone())
            }
            other => other,
        };
        let cause = Seq(log.len() as u64 + 1);
        for event in engine.step(input, at).events {
            let seq = Seq(log.len() as u64 + 1);
            log.push(Envelope { seq, at, cause, event });
        }
        let _ = (engine.resume(), engine.deadline());
    }
    let fail = |broken: check::Broken| TestCaseError::fail(broken.to_string());
    check::replays(&log).map_err(fail)?;
    check::keeps_limits(&log, &policy).map_err(fail)?;
    let mut recovered = Engine::new();
    for envelope in &log {
        recovered.recover(envelope);
    }
    prop_assert_eq!(recovered.state(), engine.state());
    Ok(())
}

#[derive(Debug, Clone)]
enum Change {
    Lose,
    Repeat,
    Delay(usize),
    PutIn(Box<Input>),
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Lose),
        Just(Change::Repeat),
        (1usize..30).prop_map(Change::Delay),
        any_input().prop_map(|input| Change::PutIn(Box::new(input))),
    ]
}

/// Draws any variant of an enum, each field by a strategy. One that is not named does not compile.
macro_rules! any_of {
    ($function:ident, $kind:ident: $($variant:ident => { $($field:ident: $strategy:expr),* },)*) => {
        fn $function() -> impl Strategy<Value = $kind> {
            // Never called: it is there so that a variant that is not drawn does not compile.
            #[allow(dead_code)]
            fn every_variant_is_drawn(kind: &$kind) {
                match kind { $($kind::$variant { .. } => (),)* }
            }
            Union::new([$(
                (Just(()), $($strategy,)*)
                    .prop_map(|((), $($field,)*)| $kind::$variant { $($field),* })
                    .boxed(),
            )*])
        }
    };
}

any_of! { any_command, Command:
    AddJob => { release: any_release() },
    CancelJob => { job: any_job() },
    RetryJob => { job: any_job() },
    SkipDeadLetter => { view: Just("jobs".to_owned()), event: (0u64..40).prop_map(Seq) },
    SendChat => { peer: any_peer(), text: any_said() },
    MarkChatRead => { peer: any_peer(), through: (0u64..40).prop_map(Seq) },
}

any_of! { any_observation, Observation:
    NodeStarted => { policy: any_policy(), engine: Just(VERSION), build: Just(String::new()) },
    SessionOpened => {},
    SessionClosed => { reason: any_session_end() },
    ReleaseFetched => { job: any_job(), target: any_target() },
    LookupFailed => { lookup: any_lookup(), fault: any_lookup_fault() },
    SearchAnswered => {
        job: any_job(), search: any_search(), peer: any_peer(), slot_free: any::<bool>(),
        speed_bytes_per_s: select(vec![0, 1, 100_000, u32::MAX]),
        queue_length: select(vec![0, 3, u32::MAX]),
        files: prop::collection::vec(any_file(), 0..6)
    },
    SearchEnded => { job: any_job(), search: any_search() },
    PlaceTold => { track: any_track(), assignment: any_assignment(), place: 0u32..4 },
    TransferStarted => { track: any_track(), assignment: any_assignment() },
    OverlapCompared => {
        track: any_track(), assignment: any_assignment(), range: any_range(), equal: any::<bool>()
    },
    ChunkArrived => {
        track: any_track(), assignment: any_assignment(), range: any_range(), digest: any_digest(),
        elapsed_ms: select(vec![0, 100, u64::MAX])
    },
    TransferEnded => { track: any_track(), assignment: any_assignment(), end: any_transfer_end() },
    FileExamined => {
        track: any_track(), attempt: any_attempt(), digest: any_digest(), outcome: any_examination()
    },
    ExamineFailed => { track: any_track(), attempt: any_attempt(), fault: any_disk_fault() },
    StagingLost => { track: any_track(), attempt: any_attempt(), detail: Just("gone".to_owned()) },
    RecordingIdentified => {
        track: any_track(), attempt: any_attempt(),
        matches: prop::collection::vec(any_match(), 0..3)
    },
    FilePublished => {
        track: any_track(), attempt: any_attempt(), path: Just("a/b/c.flac".to_owned()),
        size: any_size(), digest: any_digest()
    },
    PublishFailed => { track: any_track(), attempt: any_attempt(), fault: any_publish_fault() },
    FileDiscarded => { track: any_track(), attempt: any_attempt() },
    UploadEnded => {
        peer: any_peer(), path: Just("a/b/c.flac".to_owned()), sent_bytes: any_size(),
        complete: any::<bool>()
    },
    DeadlineReached => {},
    PeersForgotten => {
        peers: any::<u32>(), identity: Just([7; 16]), last: Just(Seq(9)),
        head: Just(Digest([1; 32]))
    },
    ContentDescribed => { track: any_track(), content: any_content() },
    HoldingTold => {
        track: any_track(), peer: any_peer(), ranges: prop::collection::vec(any_range(), 0..3)
    },
    SlotGranted => { track: any_track(), assignment: any_assignment() },
    ChatReceived => {
        peer: any_peer(), id: 0u32..4, sent_at: (0u64..4).prop_map(Timestamp), text: any_said()
    },
    ChatSent => { chat: (0u64..4).prop_map(ChatId) },
    ChatFailed => { chat: (0u64..4).prop_map(ChatId), fault: Just(ChatFault::Busy) },
    PieceSpoiled => {
        track: any_track(), assignment: any_assignment(), range: any_range(),
        elapsed_ms: select(vec![0, 100, u64::MAX])
    },
}

fn any_said() -> impl Strategy<Value = String> {
    select(vec![String::new(), "hello".to_owned()])
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        1 => any_command().prop_map(Input::Command),
        6 => any_observation().prop_map(Input::Observation),
    ]
}

fn started(policy: Policy) -> Observation {
    Observation::NodeStarted { policy, engine: VERSION, build: String::new() }
}

/// The usual one, and one that leaves little room.
fn any_policy() -> impl Strategy<Value = Policy> {
    let narrow = Policy {
        searches_per_window: 3,
        gather_ms: 0,
        sources_per_track: 2,
        transfers: 2,
        transfers_per_peer: 1,
        source_failures: 1,
        ..Policy::default()
    };
    select(vec![Policy::default(), narrow])
}

/// From at once to longer than anything is waited for, in milliseconds.
fn any_wait() -> impl Strategy<Value = u64> {
    select(vec![0, 0, 1, 2_500, 40_000, 700_000, 30 * 3_600_000])
}

// Few of everything, so that what is drawn meets what is known.

fn any_release() -> impl Strategy<Value = ReleaseId> {
    (0u8..2).prop_map(|byte| ReleaseId([byte; 16]))
}

fn any_job() -> impl Strategy<Value = JobId> {
    (0u32..4).prop_map(JobId)
}

fn any_track() -> impl Strategy<Value = TrackKey> {
    (any_job(), 0u16..4).prop_map(|(job, index)| TrackKey { job, index })
}

fn any_attempt() -> impl Strategy<Value = u16> {
    0u16..3
}

fn any_assignment() -> impl Strategy<Value = AssignmentId> {
    (0u64..12).prop_map(AssignmentId)
}

fn any_search() -> impl Strategy<Value = SearchId> {
    (0u64..8).prop_map(SearchId)
}

fn any_peer() -> impl Strategy<Value = PeerId> {
    prop_oneof![
        4 => select(vec!["ada", "bob", "cy", ""]).prop_map(|name| PeerId::Soulseek(name.to_owned())),
        1 => select(vec!["9f", "3c"]).prop_map(|key| PeerId::Mesh(key.to_owned())),
    ]
}

fn any_content() -> impl Strategy<Value = Content> {
    (any_digest(), any_size(), select(vec![0, 1, 16_384, 262_144, u32::MAX]))
        .prop_map(|(root, size, unit)| Content { root, size, unit })
}

fn any_digest() -> impl Strategy<Value = Digest> {
    (0u8..3).prop_map(|byte| Digest([byte; 32]))
}

fn any_size() -> impl Strategy<Value = u64> {
    select(vec![0, 1, CHUNK_BYTES, CHUNK_BYTES + 5, 2 * CHUNK_BYTES, u64::MAX])
}

fn any_range() -> impl Strategy<Value = ByteRange> {
    (any_size(), any_size()).prop_map(|(start, end)| ByteRange { start, end })
}

fn any_recording() -> impl Strategy<Value = RecordingId> {
    (0u8..4).prop_map(|byte| RecordingId([byte; 16]))
}

fn any_title() -> impl Strategy<Value = String> {
    select(vec!["Tone One", "Tone Two", "!!!", ""]).prop_map(str::to_owned)
}

fn any_file() -> impl Strategy<Value = RemoteFile> {
    let ending = select(vec!["flac", "mp3", "jpg", ""]);
    let duration = select(vec![None, Some(200), Some(u32::MAX)]);
    (any_title(), ending, any_size(), duration).prop_map(|(title, ending, size, duration_s)| {
        let path = format!(r"m\Tin Orchard\Harbour Lights\01 - {title}.{ending}");
        RemoteFile { path, size, bitrate_kbps: None, duration_s }
    })
}

fn any_target() -> impl Strategy<Value = Target> {
    let track = (any_title(), any_recording(), select(vec![None, Some(0), Some(200_000)]));
    (any_release(), prop::collection::vec(track, 0..4)).prop_map(|(release, tracks)| {
        let credit = Credit { name: "Tin Orchard".into(), artists: vec![ArtistId([1; 16])] };
        let track = |(place, (title, recording, duration_ms))| Track {
            id: TrackId([1; 16]),
            recording,
            medium: 1,
            position: place,
            title,
            credit: credit.clone(),
            duration_ms,
            isrcs: Vec::new(),
        };
        Target {
            release,
            group: None,
            title: "Harbour Lights".into(),
            credit: credit.clone(),
            date: "1999".into(),
            country: String::new(),
            label: String::new(),
            barcode: String::new(),
            media: 1,
            tracks: (1u16..).zip(tracks).map(track).collect(),
        }
    })
}

any_of! { any_lookup, Lookup:
    Release => { job: any_job() },
    Identity => { track: any_track(), attempt: any_attempt() },
}

fn any_lookup_fault() -> impl Strategy<Value = LookupFault> {
    select(vec![
        LookupFault::NotFound,
        LookupFault::Busy { status: 503, retry_after_ms: None },
        LookupFault::Busy { status: 429, retry_after_ms: Some(u64::MAX) },
        LookupFault::Unreachable("dns".into()),
        LookupFault::Malformed("json".into()),
        LookupFault::Refused("bad key".into()),
    ])
}

fn any_session_end() -> impl Strategy<Value = SessionEnd> {
    select(vec![
        SessionEnd::Refused("INVALIDPASS".into()),
        SessionEnd::Kicked,
        SessionEnd::CannotListen("port in use".into()),
        SessionEnd::Lost("reset".into()),
    ])
}

fn any_disk_fault() -> impl Strategy<Value = DiskFault> {
    select(vec![DiskFault::Full, DiskFault::Other("read-only".into())])
}

fn any_publish_fault() -> impl Strategy<Value = PublishFault> {
    prop_oneof![
        any_disk_fault().prop_map(PublishFault::Disk),
        Just(PublishFault::Untaggable("broken header".into())),
    ]
}

fn any_transfer_end() -> impl Strategy<Value = TransferEnd> {
    let fault = prop_oneof![
        any_size().prop_map(TransferFault::SizeChanged),
        any_size().prop_map(TransferFault::StagingShort),
        any_disk_fault().prop_map(TransferFault::Disk),
        select(vec![
            TransferFault::PeerOffline,
            TransferFault::CannotConnect,
            TransferFault::TimedOut("bytes".into()),
            TransferFault::ConnectionCut,
            TransferFault::Denied("no".into()),
            TransferFault::UploadFailed,
            TransferFault::Surplus,
            TransferFault::SessionClosed,
        ]),
    ];
    prop_oneof![Just(TransferEnd::Complete), fault.prop_map(TransferEnd::Failed)]
}

fn any_examination() -> impl Strategy<Value = Examination> {
    let music = select(vec![0, 200_000, u64::MAX]).prop_map(|duration_ms| {
        let profile = CodecProfile {
            codec: Codec::Flac,
            sample_rate_hz: 44_100,
            channels: 2,
            bit_depth: Some(16),
        };
        Examination::Music(Examined { profile, duration_ms, fingerprint: Fingerprint(vec![1]) })
    });
    let fault = select(vec![
        AudioFault::NotDecodable("zip".into()),
        AudioFault::Damaged { at_ms: 5, detail: "crc".into() },
        AudioFault::Truncated("5 of 9 s".into()),
        AudioFault::NotIdentifiable("silence".into()),
    ]);
    prop_oneof![3 => music, 1 => fault.prop_map(Examination::Fault)]
}

fn any_match() -> impl Strategy<Value = IdentityMatch> {
    let recordings = prop::collection::vec(any_recording(), 0..4);
    (select(vec![0, 900_000, u32::MAX]), recordings).prop_map(|(score, recordings)| IdentityMatch {
        acoustid: AcoustId([1; 16]),
        score: Ppm(score),
        recordings,
    })
}
