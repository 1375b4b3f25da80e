//! Measures how fast read models are folded from a log, and how long reading one takes. Prints a table.
//!
//! `cargo run --release -p projections --example fold -- [folder]`

use std::path::{Path, PathBuf};
use std::time::Instant;

use domain::chunk::{CHUNK_BYTES, Digest};
use domain::decision::Choice;
use domain::score::Ppm;
use domain::target::Credit;
use domain::{
    AssignmentId, ByteRange, Command, Decision, Event, Input, JobId, Observation, PeerId,
    RecordingId, ReleaseId, Seq, SourceId, Target, Timestamp, Track, TrackKey,
};
use eventlog::{Log, Step};
use projections::jobs::Jobs;
use projections::trace::Trace;
use projections::{Store, follow};

type Failure = Box<dyn std::error::Error>;

const JOBS: u32 = 20;
const TRACKS: u16 = 12;
const SOURCES: u32 = 32;
const CHUNKS: u64 = 100;

fn main() -> Result<(), Failure> {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("reprise-projections-bench-{}", std::process::id()));
    let measured = measure(&dir);
    std::fs::remove_dir_all(&dir)?;
    measured
}

fn measure(dir: &Path) -> Result<(), Failure> {
    let (mut log, reader) = Log::open(&dir.join("log"))?;
    for job in 1..=JOBS {
        let steps = album(JobId(job));
        let steps: Vec<_> =
            steps.iter().map(|events| Step::new(Timestamp(u64::from(job)), events)).collect();
        for batch in steps.chunks(64) {
            log.append(batch)?;
        }
    }
    let events = reader.durable().0;
    println!("{JOBS} jobs of {TRACKS} tracks, {SOURCES} sources a track: {events} events");
    let store = Store::open(&dir.join("views"))?;
    let rate = |start: Instant| events as f64 / start.elapsed().as_secs_f64();

    let (mut jobs, view) = Jobs::open(&store)?;
    let start = Instant::now();
    follow::catch_up(&mut jobs, &reader)?;
    println!("jobs:  {:>9.0} events/s", rate(start));
    let (mut trace, traces) = Trace::open(&store, reader.clone())?;
    let start = Instant::now();
    follow::catch_up(&mut trace, &reader)?;
    println!("trace: {:>9.0} events/s", rate(start));

    let start = Instant::now();
    let heads = view.heads()?.value.len();
    println!("heads of {heads} jobs: {:?}", start.elapsed());
    let start = Instant::now();
    view.get(JobId(1))?;
    println!("one job with everything: {:?}", start.elapsed());
    let start = Instant::now();
    let length = traces.events(JobId(JOBS), Seq(0), 1000)?.value.len();
    println!("{length} events of a trace: {:?}", start.elapsed());
    Ok(())
}

/// Everything that happens to an album whose sources all behave.
fn album(job: JobId) -> Vec<Vec<Event>> {
    let release = ReleaseId([job.0 as u8; 16]);
    let seen = |it| Event::Input(Input::Observation(it));
    let mut steps = vec![
        vec![
            Event::Input(Input::Command(Command::AddJob { release })),
            Event::Decision(Decision::JobAdded { job, release }),
        ],
        vec![seen(Observation::ReleaseFetched { job, target: target(release) })],
    ];
    for index in 0..TRACKS {
        let track = TrackKey { job, index };
        let mut events = vec![seen(Observation::DeadlineReached)];
        events.extend((0..SOURCES).map(|source| {
            Event::Decision(Decision::SourceFound {
                track,
                source: SourceId(source),
                peer: peer(source),
                path: path(),
                size: CHUNKS * CHUNK_BYTES,
                likeness: Ppm(900_000),
            })
        }));
        steps.push(events);
        let assignment = AssignmentId(u64::from(job.0) * 1000 + u64::from(index));
        steps.push(vec![seen(Observation::DeadlineReached), assigned(track, assignment)]);
        for start in (0..CHUNKS).map(|chunk| chunk * CHUNK_BYTES) {
            let range = ByteRange { start, end: start + CHUNK_BYTES };
            let digest = Digest([7; 32]);
            let arrived =
                Observation::ChunkArrived { track, assignment, range, digest, elapsed_ms: 218 };
            let accepted = Decision::ChunkAccepted { track, assignment, range, digest };
            steps.push(vec![seen(arrived), Event::Decision(accepted)]);
        }
    }
    steps
}

fn assigned(track: TrackKey, assignment: AssignmentId) -> Event {
    Event::Decision(Decision::RangeAssigned {
        track,
        attempt: 1,
        assignment,
        source: SourceId(3),
        peer: peer(3),
        path: path(),
        size: CHUNKS * CHUNK_BYTES,
        range: ByteRange { start: 0, end: CHUNKS * CHUNK_BYTES },
        overlap: 0,
        choice: Choice { candidates: SOURCES, cost_ms: 9, next_cost_ms: None, takeover: false },
    })
}

fn peer(source: u32) -> PeerId {
    PeerId::Soulseek(format!("some-peer-{source}"))
}

fn path() -> String {
    "music\\Ada Lovelace\\Analytical Engine (1991)\\07 - Loops.flac".to_owned()
}

fn target(release: ReleaseId) -> Target {
    let credit = Credit { name: "Ada Lovelace".to_owned(), artists: vec![] };
    let track = |index: u16| Track {
        id: domain::id::TrackId([1; 16]),
        recording: RecordingId([2; 16]),
        medium: 1,
        position: index + 1,
        title: format!("Loop {}", index + 1),
        credit: credit.clone(),
        duration_ms: Some(200_000),
        isrcs: vec![],
    };
    Target {
        release,
        group: None,
        title: "Analytical Engine".to_owned(),
        credit: credit.clone(),
        date: "1991".to_owned(),
        country: String::new(),
        label: String::new(),
        barcode: String::new(),
        media: 1,
        tracks: (0..TRACKS).map(track).collect(),
    }
}
