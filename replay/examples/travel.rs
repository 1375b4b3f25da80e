//! How long it takes to be at any position of a history of a million events, and to verify all of it.
//! `cargo run --release -p replay --example travel -- [albums]`

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use domain::chunk::Digest;
use domain::id::{AcoustId, ArtistId, TrackId};
use domain::media::{Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{Examination, IdentityMatch, RemoteFile};
use domain::score::Ppm;
use domain::target::Credit;
use domain::{
    ByteRange, Command, Effect, Envelope, Input, JobId, Observation, PeerId, Policy, RecordingId,
    ReleaseId, Seq, Target, Timestamp, Track, TrackKey,
};
use engine::Engine;
use replay::Recorded;
use replay::timeline::Timeline;

const TRACKS: u16 = 10;
const FILE: u64 = 256 << 20;
const CHUNK: u64 = 256 << 10;

fn main() {
    let albums = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(50);
    let history = history(albums);
    let events = history.len() as u64;
    let read = || history.iter().cloned().map(Ok::<_, Infallible>).collect::<Vec<_>>();

    let copy = read();
    let start = Instant::now();
    let verified = replay::verify_engine(copy).expect("it is what the engine decided");
    let rate = events as f64 / start.elapsed().as_secs_f64();
    assert_eq!(verified.digests, verified.inputs);

    let copy = read();
    let start = Instant::now();
    let timeline = Timeline::read(copy, Seq(u64::MAX)).expect("it has no gaps");
    let built = start.elapsed();
    let mut times: Vec<Duration> = (1..=400u64)
        .map(|n| {
            let seq = Seq(1 + n * 7_919_317 % events);
            let start = Instant::now();
            assert!(timeline.engine(seq).is_some());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("| albums | events | verified events/s | built | position, median | slowest of 400 |");
    println!("|---|---|---|---|---|---|");
    println!(
        "| {albums} | {events} | {rate:.0} | {built:.2?} | {:.2?} | {:.2?} |",
        times[times.len() / 2],
        times[times.len() - 1]
    );
}

/// The life of a node to which everything is given as it asks for it.
fn history(albums: u32) -> Vec<Recorded> {
    let (mut engine, mut history) = (Engine::new(), Vec::new());
    let mut at = Timestamp(1_790_000_000_000_000);
    let started = Observation::NodeStarted {
        policy: Policy::default(),
        engine: engine::VERSION,
        build: "example".into(),
    };
    let mut inputs = VecDeque::from([started, Observation::SessionOpened].map(Input::Observation));
    let mut added = 0;
    loop {
        let input = match inputs.pop_front() {
            Some(input) => input,
            None if engine.state().jobs.values().any(|job| !job.phase.is_over()) => {
                at = at.max(engine.deadline().expect("an open job waits for something"));
                Input::Observation(Observation::DeadlineReached)
            }
            None if added < albums => {
                added += 1;
                at = at.plus_ms(10_000);
                let mut release = [0; 16];
                release[..4].copy_from_slice(&added.to_le_bytes());
                Input::Command(Command::AddJob { release: ReleaseId(release) })
            }
            None => return history,
        };
        at = at.plus_ms(1);
        let step = engine.step(input, at);
        let cause = Seq(history.len() as u64 + 1);
        let mut digest = Some(step.digest);
        for event in step.events {
            let seq = Seq(history.len() as u64 + 1);
            let envelope = Envelope { seq, at, cause, event };
            history.push(Recorded { envelope, digest: digest.take() });
        }
        for effect in step.effects {
            inputs.extend(answers(effect).into_iter().map(Input::Observation));
        }
    }
}

fn answers(effect: Effect) -> Vec<Observation> {
    match effect {
        Effect::FetchRelease { job, release } => {
            vec![Observation::ReleaseFetched { job, target: target(release) }]
        }
        Effect::Search { job, search, .. } => (0..6)
            .map(|peer| Observation::SearchAnswered {
                job,
                search,
                peer: PeerId::Soulseek(format!("peer{peer}")),
                slot_free: true,
                speed_bytes_per_s: 100_000 * (peer + 1),
                queue_length: 0,
                files: (1..=TRACKS).map(file).collect(),
            })
            .chain([Observation::SearchEnded { job, search }])
            .collect(),
        Effect::FetchRange { track, assignment, range, .. } => (range.start / CHUNK
            ..range.end / CHUNK)
            .map(|chunk| Observation::ChunkArrived {
                track,
                assignment,
                range: ByteRange { start: chunk * CHUNK, end: (chunk + 1) * CHUNK },
                digest: Digest([chunk as u8; 32]),
                elapsed_ms: 100,
            })
            .collect(),
        Effect::Examine { track, attempt, .. } => vec![Observation::FileExamined {
            track,
            attempt,
            digest: Digest([7; 32]),
            outcome: Examination::Music(Examined {
                profile: CodecProfile {
                    codec: Codec::Flac,
                    sample_rate_hz: 44_100,
                    channels: 2,
                    bit_depth: Some(16),
                },
                duration_ms: 200_000,
                fingerprint: Fingerprint(vec![1; 900]),
            }),
        }],
        Effect::Identify { track, attempt, .. } => vec![Observation::RecordingIdentified {
            track,
            attempt,
            matches: vec![IdentityMatch {
                acoustid: AcoustId([1; 16]),
                score: Ppm(990_000),
                recordings: vec![recording(track)],
            }],
        }],
        Effect::Publish { track, attempt, path, digest, .. } => {
            vec![Observation::FilePublished { track, attempt, path, size: FILE, digest }]
        }
        Effect::Discard { track, attempt } => vec![Observation::FileDiscarded { track, attempt }],
        Effect::CancelTransfer { .. }
        | Effect::BeginAt { .. }
        | Effect::MoveEnd { .. }
        | Effect::SendChat { .. }
        | Effect::AcknowledgeChat { .. }
        | Effect::Share { .. } => Vec::new(),
    }
}

fn recording(TrackKey { job: JobId(_), index }: TrackKey) -> RecordingId {
    RecordingId([index as u8 + 1; 16])
}

fn title(position: u16) -> String {
    format!("Tone {}", char::from(b'a' + position as u8).to_string().repeat(4))
}

fn file(position: u16) -> RemoteFile {
    RemoteFile {
        path: format!(r"m\Tin Orchard\Harbour Lights\{position:02} - {}.flac", title(position)),
        size: FILE,
        bitrate_kbps: None,
        duration_s: None,
    }
}

fn target(release: ReleaseId) -> Target {
    let credit = Credit { name: "Tin Orchard".into(), artists: vec![ArtistId([3; 16])] };
    Target {
        release,
        group: None,
        title: "Harbour Lights".into(),
        credit: credit.clone(),
        date: "1999".into(),
        country: "XW".into(),
        label: String::new(),
        barcode: String::new(),
        media: 1,
        tracks: (1..=TRACKS)
            .map(|position| Track {
                id: TrackId([position as u8; 16]),
                recording: RecordingId([position as u8; 16]),
                medium: 1,
                position,
                title: title(position),
                credit: credit.clone(),
                duration_ms: Some(200_000),
                isrcs: Vec::new(),
            })
            .collect(),
    }
}
