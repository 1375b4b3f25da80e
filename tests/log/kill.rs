//! `log soak` is killed three hundred times, a third of them while it recovers from the time before.
//! Every event that it said was durable is there, as it said, and nothing else is.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use domain::Seq;
use eventlog::Log;

use super::text;
use crate::binary::reprise;

const KILLS: u32 = 300;

/// Uneven numbers for moments to kill at.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// Lets it append for a while and kills it; the lines that it finished.
fn soak(dir: &Path, random: &mut Random, in_recovery: bool) -> Vec<(u64, String)> {
    let mut child =
        reprise().args(["log", "soak", "--dir", text(dir)]).stdout(Stdio::piped()).spawn().unwrap();
    let (first, began) = mpsc::channel();
    let out = child.stdout.take().unwrap();
    let reading = std::thread::spawn(move || acknowledged(out, &first));
    if in_recovery {
        std::thread::sleep(Duration::from_millis(random.below(45)));
    } else {
        // From the first line on, so that a slow machine appends too.
        let _ = began.recv_timeout(Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(random.below(60)));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap()
}

fn acknowledged(out: ChildStdout, first: &mpsc::Sender<()>) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    let mut out = BufReader::new(out);
    loop {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        // A line that was cut off was never said.
        let Some(line) = line.strip_suffix('\n') else { return lines };
        let (seq, hash) = line.strip_prefix("ACK ").unwrap().split_once(' ').unwrap();
        lines.push((seq.parse().unwrap(), hash.to_owned()));
        if lines.len() == 1 {
            // Whoever waits for it may have given up.
            let _ = first.send(());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_was_acknowledged_survives_three_hundred_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(0x1234_5678);
    let (mut known, mut said, mut quiet) = (0, 0, 0);
    for kill in 0..KILLS {
        let lines = soak(dir.path(), &mut random, kill % 3 == 2);
        quiet += u32::from(lines.is_empty());
        let (_log, reader) = Log::open(dir.path()).unwrap();
        let stored: Vec<_> = reader
            .records(Seq(known + 1)..=Seq(u64::MAX))
            .map(|record| record.map(|it| (it.seq.0 - 1, hex(&it.payload_hash()))))
            .collect::<Result<_, _>>()
            .unwrap();
        // Numbers go on without a gap, and nothing that was there before is there no more.
        let durable = reader.durable().0;
        assert_eq!(stored.len() as u64, durable - known, "kill {kill}");
        let Some((first, _)) = lines.first() else {
            known = durable;
            continue;
        };
        // What was committed and not said before the kill stands between.
        assert!((known..=durable).contains(first), "kill {kill}: {first} after {known}");
        let from = usize::try_from(first - known).unwrap();
        assert_eq!(stored[from..from + lines.len()], lines, "kill {kill}");
        said += lines.len();
        known = durable;
    }
    let (_log, reader) = Log::open(dir.path()).unwrap();
    assert_eq!(reader.verify().unwrap().events, known);
    assert!(said > 10_000, "only {said} were acknowledged");
    // Both kinds of kills were tried: those that struck before anything was appended, and the rest.
    assert!(
        (10..KILLS * 2 / 3).contains(&quiet),
        "{quiet} of {KILLS} struck before the first line"
    );
}
