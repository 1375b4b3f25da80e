//! `reprise replay fork`: what would have happened with another policy or without a peer, beside what did.
//! The recorded end, the modelled end without a change and the one with it stand side by side, so that
//! what the model makes of everything is told from what the change makes of it. How it goes on is
//! `sim::fork`'s; here are the command line and [`table`].

mod table;

use std::path::PathBuf;

use domain::{PeerId, Seq};
use serde_json::{Value, json};
use sim::fork::{Change, Changes, Fork, Outcome, Spread};

use super::travel::{no_event, print, timeline};
use crate::exit::Failure;

/// Names of peers that a mistaken one is answered with.
const NAMES_TOLD: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// An exported history, or the data folder of a node that is not running
    history: PathBuf,
    /// The last event that is as it was, with the step it belongs to
    #[arg(long, value_name = "EVENT")]
    at: u64,
    /// Another number in the policy from there on; a wrong name lists the right ones
    #[arg(long, value_name = "policy.NAME=NUMBER")]
    set: Vec<String>,
    /// A peer that is not there from there on
    #[arg(long, value_name = "PEER")]
    drop_peer: Option<String>,
    /// Live on so many times, with the seeds from 1 on, and tell how the ends spread
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is laid side by side.
struct Told<'a> {
    options: &'a Options,
    fork: Fork<'a>,
    recorded: Outcome,
    /// Names of the ends, with what came of the first run and of all.
    modelled: Vec<Modelled>,
}

struct Modelled {
    name: &'static str,
    first: Outcome,
    changes: Changes,
    spread: Spread,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    if options.runs == 0 {
        return Err(Failure::usage("--runs is 1 or more"));
    }
    let mut change = Change::default();
    for setting in &options.set {
        set(&mut change, setting)?;
    }
    let timeline = timeline(&options.history, Seq(u64::MAX))?;
    let Some(fork) = Fork::at(timeline.events(), Seq(options.at)) else {
        return Err(no_event(&timeline, Seq(options.at)));
    };
    if let Some(name) = &options.drop_peer {
        change.drop_peer(peer(&fork, name)?);
    }
    let recorded = fork.recorded();
    let lived = |name, change: &Change| {
        let mut spread = Spread::default();
        let first = fork.run(change, 1);
        spread.add(&first);
        for seed in 2..=options.runs {
            spread.add(&fork.run(change, seed));
        }
        Modelled { name, changes: recorded.changes(&first), first, spread }
    };
    let mut modelled = vec![lived("unchanged", &Change::default())];
    if change != Change::default() {
        modelled.push(lived("changed", &change));
    }
    let told = Told { options, recorded, modelled, fork: fork.clone() };
    if options.json {
        return print(&format!("{:#}\n", told.json()));
    }
    print(&told.text())
}

fn set(change: &mut Change, setting: &str) -> anyhow::Result<()> {
    let form = || Failure::usage(format!("{setting:?} is not of the form policy.NAME=NUMBER"));
    let (name, number) = setting.split_once('=').ok_or_else(form)?;
    let name = name.strip_prefix("policy.").ok_or_else(form)?;
    let number = number.parse().map_err(|_| form())?;
    change.set(name, number).map_err(|error| Failure::usage(error.to_string()))
}

/// The peer of a name, with or without its network.
fn peer(fork: &Fork<'_>, name: &str) -> anyhow::Result<PeerId> {
    let found = fork.peers().find(|peer| peer.name() == name || peer.to_string() == name);
    found.cloned().ok_or_else(|| {
        let mut names: Vec<_> = fork.peers().take(NAMES_TOLD).map(table::named).collect();
        if fork.peers().nth(NAMES_TOLD).is_some() {
            names.push("…".to_owned());
        }
        Failure::not_found(format!("the history knows no peer {name:?}, only {}", names.join(", ")))
    })
}

impl Told<'_> {
    fn json(&self) -> Value {
        let modelled = self.modelled.iter().map(|modelled| {
            let mut ends = outcome(&modelled.first);
            ends["modelled"] = json!(true);
            ends["changedDecisions"] = json!(modelled.changes.number);
            ends["firstChangedDecision"] = match &modelled.changes.first {
                Some(first) => json!({
                    "at": first.at.rfc3339(),
                    "event": first.seq.map(|seq| seq.0),
                    "about": first.about,
                    "recorded": first.was,
                    "forked": first.is,
                }),
                None => Value::Null,
            };
            ends["runs"] = spread(&modelled.spread);
            (modelled.name.to_owned(), ends)
        });
        let mut told: serde_json::Map<_, _> = modelled.collect();
        let mut recorded = outcome(&self.recorded);
        recorded["modelled"] = json!(false);
        told.insert("recorded".into(), recorded);
        told.insert("position".into(), json!(self.fork.position().0));
        told.insert("at".into(), json!(self.fork.now().rfc3339()));
        told.insert("set".into(), json!(self.options.set));
        told.insert("dropPeer".into(), json!(self.options.drop_peer));
        Value::Object(told)
    }
}

fn outcome(outcome: &Outcome) -> Value {
    let tracks = outcome.tracks.iter();
    let tracks: Vec<_> =
        tracks.map(|(track, ms)| json!({ "track": track.to_string(), "completeMs": ms })).collect();
    let jobs = outcome.jobs.iter();
    let jobs: Vec<_> = jobs.map(|(job, ms)| json!({ "job": job.0, "completeMs": ms })).collect();
    let peers = outcome.bytes.iter();
    let peers: Vec<_> =
        peers.map(|(peer, bytes)| json!({ "peer": peer.to_string(), "bytes": bytes })).collect();
    json!({
        "completeMs": outcome.complete_ms(),
        "jobs": jobs,
        "tracks": tracks,
        "peers": peers,
        "takeovers": outcome.takeovers,
        "refused": outcome.refused,
        "searches": outcome.searches,
    })
}

fn spread(spread: &Spread) -> Value {
    let peers = spread.peers().iter();
    let peers: Vec<_> = peers
        .map(|(peer, used)| json!({ "peer": peer.to_string(), "runs": used.runs, "bytes": used.bytes }))
        .collect();
    let at = |percent| spread.complete_ms(percent);
    json!({
        "seeds": [1, spread.runs()],
        "complete": spread.completed(),
        "completeMs": { "p10": at(10), "p50": at(50), "p90": at(90) },
        "peers": peers,
    })
}
