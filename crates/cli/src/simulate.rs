//! `reprise replay simulate`: lives of the real core in virtual time, each asked for every law; and of
//! one that breaks a law, the fewest faults that make it do so. With `--nodes`, one life of many nodes that
//! share with one another.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use domain::{Decision, Event};
use eventlog::history::Header;
use sim::check::{self, Broken};
use sim::crowd;
use sim::fault::{self, Fault};
use sim::run::{self, Life};
use sim::shrink;

use crate::exit::Failure;
use crate::serve::build;

/// Where a life that breaks a law is written when nobody says where.
const BROKEN: &str = "broken.replay";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The seed of the first life; each further life has the next
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many lives
    #[arg(long, default_value_t = 100)]
    lives: u64,
    /// What goes wrong: a file of faults, or `none`; without it what each seed brings
    #[arg(long, value_name = "FILE|none")]
    faults: Option<PathBuf>,
    /// Where the history goes: of the life that breaks a law, or else of the last one
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Let so many nodes share with one another instead, in one world in which things go wrong
    #[arg(long, conflicts_with_all = ["lives", "out"])]
    nodes: Option<u32>,
    /// How long they may take, in minutes of virtual time
    #[arg(long, default_value_t = 240, requires = "nodes")]
    minutes: u64,
}

/// What the lives came to.
#[derive(Default)]
struct Totals {
    lives: u64,
    events: u64,
    virtual_ms: u64,
    crashes: u64,
    refusals: u64,
    takeovers: u64,
}

pub(crate) fn simulate(options: &Options) -> anyhow::Result<()> {
    if let Some(nodes) = options.nodes {
        return crowd(nodes, options);
    }
    let given = options.faults.as_deref().map(given).transpose()?;
    let out = options.out.as_deref();
    // The words of a panic are the words of the broken law.
    std::panic::set_hook(Box::new(|_| {}));
    let started = Instant::now();
    let mut totals = Totals::default();
    for seed in (options.seed..).take(usize::try_from(options.lives).unwrap_or(usize::MAX)) {
        let faults = given.clone().unwrap_or_else(|| fault::drawn(seed));
        let life = run::run(seed, &faults);
        if let Err(broken) = check::all(&life) {
            return Err(shrunk(seed, &faults, &broken, out.unwrap_or(Path::new(BROKEN)))?);
        }
        totals.add(&life);
        if totals.lives == options.lives
            && let Some(out) = out
        {
            write(&life, out)?;
            println!("seed {seed} with {} faults is in {}", faults.len(), out.display());
        }
    }
    println!("{}", totals.told(started.elapsed().as_secs_f64()));
    Ok(())
}

/// Many nodes in one world, with what its seed brings or, by `--faults none`, with nothing going wrong.
fn crowd(nodes: u32, options: &Options) -> anyhow::Result<()> {
    let has_faults = match options.faults.as_deref() {
        None => true,
        Some(path) if path.as_os_str() == "none" => false,
        Some(_) => return Err(Failure::usage("of many nodes, faults are drawn or `none`")),
    };
    let started = Instant::now();
    let for_ms = options.minutes.saturating_mul(60_000);
    let outcome = crowd::run(options.seed, nodes, for_ms, has_faults)
        .map_err(|broken| Failure::unverified(format!("seed {}: {broken}", options.seed)))?;
    let seconds = started.elapsed().as_secs_f64().max(1e-6);
    let crowd::Outcome { completed, last_ms, inputs, events, bytes, deaths, digest } = outcome;
    println!(
        "{completed} of {nodes} nodes have what they wanted, the last after {:.1} min: {inputs} inputs, \
         {events} events, {:.1} GB given, {deaths} processes died; {:.0} times real time, {:.0} \
         events/s; digest {digest:016x}",
        last_ms as f64 / 60_000.0,
        bytes as f64 / 1e9,
        last_ms as f64 / 1000.0 / seconds,
        events as f64 / seconds,
    );
    if completed == nodes {
        Ok(())
    } else {
        Err(Failure::unverified(format!("seed {}: not all have what they wanted", options.seed)))
    }
}

fn given(path: &Path) -> anyhow::Result<Vec<Fault>> {
    if path.as_os_str() == "none" {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::not_found(format!("{}: {error}", path.display())))?;
    fault::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Finds the fewest faults, writes the life that they make, and says all of it.
fn shrunk(
    seed: u64,
    faults: &[Fault],
    broken: &Broken,
    out: &Path,
) -> anyhow::Result<anyhow::Error> {
    let few = shrink::shrink(seed, faults, broken.law);
    let life = run::run(seed, &few);
    let shown = check::all(&life).err().unwrap_or_else(|| broken.clone());
    write(&life, out)?;
    let mut words = format!("seed {seed}: {}", first_line(broken));
    words += &format!("\n  {} of {} faults are enough:", few.len(), faults.len());
    for fault in &few {
        words += &format!("\n    {fault}");
    }
    words += &format!("\n  with them: {}", first_line(&shown));
    words += &format!("\n  that life is in {}; show it with `reprise replay show`", out.display());
    Ok(Failure::unverified(words))
}

/// A replay that differs is told in full by `replay verify`.
fn first_line(broken: &Broken) -> String {
    broken.to_string().lines().next().unwrap_or_default().to_owned()
}

fn write(life: &Life, out: &Path) -> anyhow::Result<()> {
    let file = File::create(out).with_context(|| format!("cannot write {}", out.display()))?;
    // Nobody in it is a person, so nobody is renamed.
    let header = Header {
        build: build(),
        engine: replay::ENGINE_VERSION,
        seed: Some(life.seed),
        policy: Some(life.policy),
        ..Header::default()
    };
    replay::export::write_life(BufWriter::new(file), &header, &life.log)?;
    Ok(())
}

impl Totals {
    fn add(&mut self, life: &Life) {
        self.lives += 1;
        self.events += life.log.len() as u64;
        self.virtual_ms += life.now.ms_since(run::BEGINNING);
        self.crashes += u64::from(life.crashes);
        for envelope in &life.log {
            match &envelope.event {
                Event::Decision(Decision::TrackRefused { .. }) => self.refusals += 1,
                Event::Decision(Decision::RangeAssigned { choice, .. }) if choice.takeover => {
                    self.takeovers += 1;
                }
                _ => {}
            }
        }
    }

    fn told(&self, seconds: f64) -> String {
        let Self { lives, events, virtual_ms, crashes, refusals, takeovers } = self;
        format!(
            "{lives} lives obey every law: {events} events, {:.1} h of virtual time at {:.0} times \
             real time, {crashes} crashes, {refusals} refusals, {takeovers} takeovers",
            *virtual_ms as f64 / 3_600_000.0,
            *virtual_ms as f64 / 1000.0 / seconds.max(1e-6),
        )
    }
}
