//! The event log beside other embedded stores, in one run on one disk: durable appends at several batch
//! sizes, opening, a full scan after the caches were dropped, and memory. Prints tables in Markdown.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml -- [folder] [events of the scan] [store]`; with a
//! store only that one is measured.
//!
//! Rounds of all stores alternate, so that a busy minute of the machine hits all of them; the median of
//! the rounds is told, and the best.

mod events;
mod stores;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::events::{Stored, batch};
use crate::stores::{KINDS, Kind};

pub(crate) type Failure = Box<dyn std::error::Error>;

const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(1200);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    // A process of its own for each scan, so that memory is one store's.
    if first.as_deref() == Some("scan") {
        let kind = arguments.next().ok_or("which store?")?;
        let dir = PathBuf::from(arguments.next().ok_or("which folder?")?);
        return scan(Kind::named(&kind).ok_or("no such store")?, &dir);
    }
    let base = first.map_or_else(std::env::temp_dir, PathBuf::from);
    let events: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let kinds = match arguments.next() {
        Some(name) => vec![Kind::named(&name).ok_or("no such store")?],
        None => KINDS.to_vec(),
    };
    let dir = base.join(format!("reprise-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let measured = appends(&dir, &kinds).and_then(|()| scans(&dir, events, &kinds));
    std::fs::remove_dir_all(&dir)?;
    measured
}

fn appends(dir: &Path, kinds: &[Kind]) -> Result<(), Failure> {
    for size in [1, 64, 256] {
        let batch = batch(size);
        println!(
            "\n| durable appends, batch {size} | median events/s | best events/s | p50 us | p99 us |"
        );
        println!("|---|---|---|---|---|");
        let mut rounds: Vec<Vec<Round>> = kinds.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS {
            for (kind, rounds) in kinds.iter().zip(&mut rounds) {
                let at = dir.join(format!("append-{}-{size}-{round}", kind.name()));
                rounds.push(append(*kind, &at, &batch)?);
                std::fs::remove_dir_all(&at)?;
            }
        }
        for (kind, mut rounds) in kinds.iter().zip(rounds) {
            rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
            let (median, best) = (&rounds[ROUNDS / 2], &rounds[ROUNDS - 1]);
            println!(
                "| {} | {:.0} | {:.0} | {} | {} |",
                kind.name(),
                median.rate,
                best.rate,
                median.p50.as_micros(),
                median.p99.as_micros()
            );
        }
    }
    Ok(())
}

struct Round {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

fn append(kind: Kind, dir: &Path, batch: &Stored) -> Result<Round, Failure> {
    let mut store = kind.open(dir)?;
    let mut took = Vec::new();
    let start = Instant::now();
    while start.elapsed() < ROUND {
        let before = Instant::now();
        store.append(batch)?;
        took.push(before.elapsed());
    }
    let rate = (took.len() * batch.events()) as f64 / start.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    Ok(Round { rate, p50: at(50), p99: at(99) })
}

fn scans(dir: &Path, events: u64, kinds: &[Kind]) -> Result<(), Failure> {
    let batch = batch(64);
    for kind in kinds {
        let mut store = kind.open(&dir.join(format!("scan-{}", kind.name())))?;
        let mut appended = 0;
        while appended < events {
            store.append(&batch)?;
            appended += batch.events() as u64;
        }
    }
    println!(
        "\n| {events} events in batches of 64 | open ms | cold scan events/s | warm scan events/s | memory MB | disk B/event |"
    );
    println!("|---|---|---|---|---|---|");
    for kind in kinds {
        let at = dir.join(format!("scan-{}", kind.name()));
        // Only what is on disk is dropped, and nobody is to read while others' pages are written.
        let synced = std::process::Command::new("sync").status()?.success();
        let dropped = synced && std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok();
        let program = std::env::current_exe()?;
        let output =
            std::process::Command::new(program).args(["scan", kind.name()]).arg(&at).output()?;
        let text = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let disk = stores::bytes(&at)? / events;
        let note = if dropped { "" } else { " (caches were not dropped)" };
        println!("| {}{note} | {} | {disk} |", kind.name(), text.trim());
    }
    Ok(())
}

/// Opens and scans twice; prints what belongs into the table.
fn scan(kind: Kind, dir: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let store = kind.open(dir)?;
    let open = start.elapsed();
    let mut rates = Vec::new();
    for _ in 0..2 {
        let start = Instant::now();
        let events = store.scan()?;
        rates.push(events as f64 / start.elapsed().as_secs_f64());
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    println!(
        "{:.0} | {:.0} | {:.0} | {}",
        open.as_secs_f64() * 1e3,
        rates[0],
        rates[1],
        peak / 1024
    );
    Ok(())
}
