//! `reprise sched-sim`: the scheduler that runs live, in worlds of one file that files describe. Also built
//! as a program of its own, `sched-sim`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value, json};
use sim::scenario::{self, FILE_MOST, Scenario, bound, live};

use crate::exit::Failure;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Worlds of one file
    #[arg(required = true, value_name = "SCENARIO.json")]
    scenarios: Vec<PathBuf>,
    /// Describe the content of the file to nobody: it then comes from one source at a time
    #[arg(long)]
    undescribed: bool,
    /// Say beside it how fast anybody could be who knew everything
    #[arg(long)]
    bound: bool,
}

/// Prints one JSON object with what came of each world; exit code 6 when a file did not come right.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let told = if options.undescribed { live::Told::Nothing } else { live::Told::Content };
    let scenarios: Vec<Scenario> =
        options.scenarios.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let (mut outcomes, mut failed) = (Map::new(), Vec::new());
    let mut efficiencies = Vec::new();
    for scenario in &scenarios {
        let outcome = live::run(scenario, told);
        let t_s = outcome.time as f64 / 1e6;
        if options.bound {
            let least = bound::least(scenario).map(|least| least as f64 / 1e6);
            let efficiency = least.filter(|_| outcome.ok).map_or(0.0, |least| least / t_s);
            eprintln!(
                "{:24} at least {:9.3} s, took {t_s:9.3} s: efficiency {efficiency:.3}, wire {:.3}",
                scenario.name,
                least.unwrap_or(f64::INFINITY),
                outcome.wire_bytes as f64 / scenario.size as f64
            );
            efficiencies.push(efficiency);
        }
        if !outcome.ok {
            failed.push(scenario.name.clone());
        }
        let told = json!({
            "t_s": t_s,
            "wire_bytes": outcome.wire_bytes,
            "ok": outcome.ok,
            "slsk_starts": outcome.starts,
        });
        outcomes.insert(scenario.name.clone(), told);
    }
    if options.bound {
        let least = efficiencies.iter().copied().fold(f64::INFINITY, f64::min);
        let mean = efficiencies.iter().sum::<f64>() / efficiencies.len() as f64;
        eprintln!("efficiency: mean {mean:.3}, least {least:.3}, of {}", efficiencies.len());
    }
    println!("{:#}", Value::Object(outcomes));
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::unverified(format!("did not come right: {}", failed.join(", "))))
    }
}

fn read(path: &Path) -> anyhow::Result<Scenario> {
    let file = File::open(path)
        .map_err(|error| Failure::not_found(format!("{}: {error}", path.display())))?;
    let mut text = String::new();
    let read = file.take(FILE_MOST + 1).read_to_string(&mut text);
    read.with_context(|| format!("cannot read {}", path.display()))?;
    scenario::parse(&text).map_err(|error| {
        let because = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Failure::usage(format!("{}: {because}", path.display()))
    })
}
