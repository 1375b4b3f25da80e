//! `sched-sim SCENARIO.json...`: what `reprise sched-sim` does, as a program of its own.

#[path = "../exit.rs"]
#[expect(dead_code, reason = "the other program has more ways to fail")]
mod exit;
#[path = "../sched.rs"]
mod sched;

use std::process::ExitCode;

use clap::Parser;

/// The scheduler that runs live, in worlds of one file.
#[derive(Parser)]
#[command(name = "sched-sim", version)]
struct Cli {
    #[command(flatten)]
    options: sched::Options,
}

fn main() -> ExitCode {
    match sched::run(&Cli::parse().options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
