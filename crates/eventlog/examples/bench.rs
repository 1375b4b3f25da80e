//! Measures the log on the disk it is given: durable appends at several batch sizes, opening, and a
//! full scan. Prints one table.
//!
//! `cargo run --release -p eventlog --example bench -- [folder] [events of the scan]`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::chunk::Digest;
use domain::{AssignmentId, ByteRange, Event, Input, JobId, Observation, PeerId, Timestamp};
use domain::{Decision, Seq, TrackKey};
use eventlog::{Log, Step};

type Failure = Box<dyn std::error::Error>;

/// How long each batch size is measured.
const ROUND: Duration = Duration::from_secs(4);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let events: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let dir = base.join(format!("reprise-eventlog-bench-{}", std::process::id()));
    let measured = measure(&dir, events);
    std::fs::remove_dir_all(&dir)?;
    measured
}

fn measure(dir: &Path, events: u64) -> Result<(), Failure> {
    let steps: Vec<[Event; 2]> = (0..128).map(step).collect();
    let bytes: usize = steps
        .iter()
        .flatten()
        .map(|event| eventlog::encode(event).map(|(_, bytes)| bytes.len()))
        .sum::<Result<usize, _>>()?;
    println!("archived event: {} bytes on average, and 64 of frame", bytes / 256);
    println!(
        "{:>8} {:>12} {:>10} {:>10} {:>10}",
        "batch", "events/s", "p50 us", "p99 us", "max us"
    );
    for batch in [1, 64, 256] {
        appends(&dir.join(batch.to_string()), &steps, batch)?;
    }
    scan(&dir.join("scan"), &steps, events)
}

fn appends(dir: &Path, steps: &[[Event; 2]], batch: usize) -> Result<(), Failure> {
    let (mut log, _reader) = Log::open(dir)?;
    let lone = &steps[0][..1];
    let batch_steps: Vec<Step<'_>> = if batch == 1 {
        vec![Step::new(Timestamp(1), lone)]
    } else {
        steps[..batch / 2].iter().map(|events| Step::new(Timestamp(1), events)).collect()
    };
    let mut took = Vec::new();
    let start = Instant::now();
    while start.elapsed() < ROUND {
        let before = Instant::now();
        log.append(&batch_steps)?;
        took.push(before.elapsed());
    }
    let seconds = start.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_micros();
    let rate = (took.len() * batch) as f64 / seconds;
    println!("{batch:>8} {rate:>12.0} {:>10} {:>10} {:>10}", at(50), at(99), at(100));
    Ok(())
}

fn scan(dir: &Path, steps: &[[Event; 2]], events: u64) -> Result<(), Failure> {
    let (mut log, reader) = Log::open(dir)?;
    let batch: Vec<Step<'_>> =
        steps[..32].iter().map(|events| Step::new(Timestamp(1), events)).collect();
    while reader.durable().0 < events {
        log.append(&batch)?;
    }
    drop((log, reader));
    let start = Instant::now();
    let (_log, reader) = Log::open(dir)?;
    println!("open of {} events in blocks of 64: {:?}", reader.durable(), start.elapsed());
    for round in ["first", "second"] {
        let start = Instant::now();
        let mut count = 0u64;
        for envelope in reader.range(Seq(1)..=Seq(u64::MAX)) {
            std::hint::black_box(envelope?);
            count += 1;
        }
        let rate = count as f64 / start.elapsed().as_secs_f64();
        println!("{round} scan: {rate:.0} events/s");
    }
    let start = Instant::now();
    let verified = reader.verify()?;
    println!("verify: {:.0} events/s", verified.events as f64 / start.elapsed().as_secs_f64());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
    }
    Ok(())
}

/// A chunk's arrival and acceptance, or what a search answer adds: sizes as a node writes them.
fn step(index: u64) -> [Event; 2] {
    let track = TrackKey { job: JobId(1), index: 3 };
    let assignment = AssignmentId(index);
    let range = ByteRange { start: index * 262_144, end: (index + 1) * 262_144 };
    if index.is_multiple_of(2) {
        let digest = Digest([7; 32]);
        let arrived =
            Observation::ChunkArrived { track, assignment, range, digest, elapsed_ms: 218 };
        return [
            Event::Input(Input::Observation(arrived)),
            Event::Decision(Decision::ChunkAccepted { track, assignment, range, digest }),
        ];
    }
    let path = "music\\Ada Lovelace\\Analytical Engine (1991)\\07 - Loops.flac".to_owned();
    let peer = PeerId::Soulseek("some-peer-name".to_owned());
    let (sent_bytes, complete) = (30_000_000, true);
    let sent = Observation::UploadEnded { peer, path, sent_bytes, complete };
    let words = "timed out waiting for the peer's transfer connection".to_owned();
    let fault = domain::observation::TransferFault::Denied(words);
    let until = Timestamp(5);
    let peer = PeerId::Soulseek("some-peer-name".to_owned());
    [
        Event::Input(Input::Observation(sent)),
        Event::Decision(Decision::PeerRested { track, peer, reason: fault, until }),
    ]
}
