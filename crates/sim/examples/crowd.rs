//! How fast many nodes live in one world, and what their digest is, in whatever build this is.
//! `cargo run --release -p sim --example crowd -- [seed] [nodes] [none]`

use std::process::ExitCode;
use std::time::Instant;

use sim::crowd;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |usual| arguments.next().and_then(|it| it.parse::<u32>().ok()).unwrap_or(usual);
    let (seed, nodes) = (number(1), number(1_000));
    let has_faults = arguments.next().as_deref() != Some("none");
    let started = Instant::now();
    match crowd::run(u64::from(seed), nodes, 4 * 3_600_000, has_faults) {
        Ok(outcome) => {
            let seconds = started.elapsed().as_secs_f64();
            let virtual_s = outcome.last_ms as f64 / 1000.0;
            println!(
                "{} of {nodes} nodes in {virtual_s:.0} s of virtual time and {seconds:.2} s: {:.0} times \
                 real time; {} events, {:.0} a second; digest {:016x}",
                outcome.completed,
                virtual_s / seconds,
                outcome.events,
                outcome.events as f64 / seconds,
                outcome.digest
            );
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("{broken}");
            ExitCode::from(6)
        }
    }
}
