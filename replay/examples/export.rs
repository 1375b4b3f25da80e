//! How fast histories are written for somebody else, how small they get, how fast lives are forked, and how
//! near an unchanged fork is to what was recorded. `cargo run --release -p replay --example export -- [lives]`

use std::convert::Infallible;
use std::time::{Duration, Instant};

use domain::{Decision, Event};
use eventlog::Record;
use eventlog::history::{Header, HistoryReader, Identities};
use replay::export::{Export, write_life};
use sim::fork::{Change, Fork};

fn main() {
    let lives: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut total = Totals::default();
    for seed in 0..lives {
        let log = sim::run::run(seed, &sim::fault::drawn(seed)).log;
        let mut raw = Vec::new();
        write_life(&mut raw, &Header::default(), &log).expect("memory");
        let reader = HistoryReader::new(&raw[..]).expect("it was written");
        let records: Vec<Record> = reader.records().map(|it| it.expect("as above")).collect();
        total.events += records.len() as u64;
        total.payload += records.iter().map(|it| it.payload.len() as u64 + 64).sum::<u64>();
        for identities in [Identities::Kept, Identities::Replaced] {
            let read = || records.iter().cloned().map(Ok::<_, Infallible>);
            let header = Header { identities, ..Header::default() };
            let start = Instant::now();
            let export = Export::prepare(header, read).expect("it decides the same");
            let mut file = Vec::new();
            export.write(&mut file, read()).expect("memory");
            let (took, bytes) = match identities {
                Identities::Kept => (&mut total.kept, &mut total.kept_bytes),
                Identities::Replaced => (&mut total.redacted, &mut total.redacted_bytes),
            };
            *took += start.elapsed();
            *bytes += file.len() as u64;
        }
        let assigned = log
            .iter()
            .find(|it| matches!(it.event, Event::Decision(Decision::RangeAssigned { .. })));
        if let Some(place) = assigned {
            total.fork(&Fork::at(&log, place.seq).expect("it is there"));
        }
    }
    total.tell(lives);
}

#[derive(Default)]
struct Totals {
    events: u64,
    payload: u64,
    kept: Duration,
    kept_bytes: u64,
    redacted: Duration,
    redacted_bytes: u64,
    forked: u64,
    forking: Duration,
    complete: u64,
    all: u64,
    /// How far the modelled time to completion is from the recorded one, in percent of that.
    off: Vec<u64>,
}

impl Totals {
    fn fork(&mut self, fork: &Fork<'_>) {
        let start = Instant::now();
        let life = fork.live(&Change::default(), 1);
        self.forking += start.elapsed();
        self.forked += life.len() as u64;
        let Some(was) = fork.recorded().complete_ms().filter(|was| *was > 0) else { return };
        self.all += 1;
        if let Some(is) = fork.run(&Change::default(), 1).complete_ms() {
            self.complete += 1;
            self.off.push(is.abs_diff(was) * 100 / was);
        }
    }

    fn tell(mut self, lives: u64) {
        let rate = |events: u64, took: Duration| events as f64 / took.as_secs_f64();
        self.off.sort_unstable();
        let off = |percent: usize| self.off.get(self.off.len() * percent / 100);
        println!("{lives} lives, {} events, {} B of frames", self.events, self.payload);
        println!("kept      {:.0} events/s, {} B", rate(self.events, self.kept), self.kept_bytes);
        println!(
            "redacted  {:.0} events/s, {} B",
            rate(self.events, self.redacted),
            self.redacted_bytes
        );
        println!("forked    {:.0} events/s", rate(self.forked, self.forking));
        println!(
            "complete  {} of {} that were; time off by {:?}% at p50, {:?}% at p90",
            self.complete,
            self.all,
            off(50),
            off(90)
        );
    }
}
