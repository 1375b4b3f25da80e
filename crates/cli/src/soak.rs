//! `reprise log soak`: appends for ever, with several threads that hand their steps to the one writer,
//! and prints a line for each event once it is durable. Whoever stops it in whatever way finds every
//! event that was printed.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::chunk::Digest;
use domain::{
    AssignmentId, ByteRange, Decision, Event, Input, JobId, Observation, PeerId, Seq, Timestamp,
    TrackKey,
};
use eventlog::{Limits, Log, Step};

use crate::log::hex;

/// Steps committed at once.
const ROUND: usize = 256;

/// A step on its way to the writer, and who is told when it is durable.
struct Handed {
    events: Vec<Event>,
    durable: mpsc::Sender<()>,
}

pub(crate) fn run(dir: &Path, writers: u32, volume_events: Option<u64>) -> anyhow::Result<()> {
    let mut limits = Limits::default();
    limits.volume_events = volume_events.unwrap_or(limits.volume_events);
    let (mut log, reader) = Log::open_with(dir, limits)?;
    let (hand, handed) = mpsc::sync_channel::<Handed>(ROUND);
    let begin = reader.durable().0;
    for writer in 0..writers.max(1) {
        let hand = hand.clone();
        std::thread::spawn(move || {
            let (durable, told) = mpsc::channel();
            for number in begin.. {
                let events = step(writer, number);
                if hand.send(Handed { events, durable: durable.clone() }).is_err() {
                    return;
                }
                // A few are always under way, so that there is something to commit together.
                if number >= begin + 8 && told.recv().is_err() {
                    return;
                }
            }
        });
    }
    drop(hand);
    let mut out = io::stdout().lock();
    while let Ok(first) = handed.recv() {
        // What has arrived while the disk was busy is committed together.
        let mut round = vec![first];
        round.extend(handed.try_iter().take(ROUND - 1));
        let at = Timestamp(micros());
        let steps: Vec<_> = round.iter().map(|step| Step::new(at, &step.events)).collect();
        let positions = log.append(&steps)?;
        let mut lines = Vec::new();
        for record in reader.records(positions.start..=Seq(positions.end.0 - 1)) {
            let record = record?;
            writeln!(lines, "ACK {} {}", record.seq.0 - 1, hex(&record.payload_hash()))?;
        }
        out.write_all(&lines)?;
        out.flush()?;
        for step in round {
            // Its thread may wait for another one first.
            let _ = step.durable.send(());
        }
    }
    Ok(())
}

/// Steps of several sizes and kinds, none like another.
fn step(writer: u32, number: u64) -> Vec<Event> {
    let track = TrackKey { job: JobId(writer + 1), index: (number % 12) as u16 };
    let assignment = AssignmentId(number);
    if number.is_multiple_of(5) {
        // Now and then one that takes several values of the store.
        let length = if number.is_multiple_of(97) { 150_000 } else { 40 + number as usize % 400 };
        let path = format!("{writer}/{number}/{}", "x".repeat(length));
        let peer = PeerId::Soulseek(format!("peer-{writer}"));
        let sent = Observation::UploadEnded { peer, path, sent_bytes: number, complete: true };
        return vec![Event::Input(Input::Observation(sent))];
    }
    let range = ByteRange { start: number * 262_144, end: (number + 1) * 262_144 };
    let digest = Digest([writer as u8; 32]);
    let arrived =
        Observation::ChunkArrived { track, assignment, range, digest, elapsed_ms: number };
    vec![
        Event::Input(Input::Observation(arrived)),
        Event::Decision(Decision::ChunkAccepted { track, assignment, range, digest }),
    ]
}

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
