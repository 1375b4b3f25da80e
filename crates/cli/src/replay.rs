//! `reprise replay`: looks at recorded histories with the pure engine. No node, no network.

mod fork;
mod source;
mod travel;
mod verify;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ::replay::show::ShowError;
use domain::{JobId, Seq};

use source::{open, unread};

use crate::simulate;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Decide everything again and compare: exit code 6 at the first difference
    // Halving finds nothing sooner: docs/decisions/0011.
    #[command(visible_alias = "bisect")]
    Verify {
        /// An exported history, or the data folder of a node that is not running
        history: PathBuf,
    },
    /// Print one line an event
    Show {
        /// An exported history, or the data folder of a node that is not running
        history: PathBuf,
        /// Only the events of this job
        #[arg(long)]
        job: Option<u32>,
    },
    /// Print one step: the input, each decision, and what each asked of the outside
    Step {
        /// An exported history, or the data folder of a node that is not running
        history: PathBuf,
        /// An event of the step
        #[arg(long, value_name = "EVENT")]
        at: u64,
    },
    /// Print what the node knew after an event
    State {
        /// An exported history, or the data folder of a node that is not running
        history: PathBuf,
        /// The event
        #[arg(long, value_name = "EVENT")]
        at: u64,
        /// Only this job, with all its sources
        #[arg(long)]
        job: Option<u32>,
    },
    /// Print which fields of what the node knew differ between two events
    Diff {
        /// An exported history, or the data folder of a node that is not running
        history: PathBuf,
        /// The one event; 0 stands before the first
        first: u64,
        /// The other
        second: u64,
    },
    /// Explain a decision: its cause, who decided it, and on what grounds
    Why {
        /// An exported history, or the data folder of a node that is not running
        history: PathBuf,
        /// The decision's event
        decision: u64,
    },
    /// Tell what would have happened: go on after an event with another policy or without a peer, among peers
    /// modelled on the recorded ones
    Fork(fork::Options),
    /// Let the core live in a simulated world in which things go wrong: exit code 6 when a law breaks
    Simulate(simulate::Options),
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Verify { history } => verify::run(history),
        Command::Show { history, job } => show(history, job.map(JobId)),
        Command::Step { history, at } => travel::step(history, Seq(*at)),
        Command::State { history, at, job } => travel::state(history, Seq(*at), job.map(JobId)),
        Command::Diff { history, first, second } => {
            travel::diff(history, Seq(*first), Seq(*second))
        }
        Command::Why { history, decision } => travel::why(history, Seq(*decision)),
        Command::Fork(options) => fork::run(options),
        Command::Simulate(options) => simulate::simulate(options),
    }
}

fn show(path: &Path, job: Option<JobId>) -> anyhow::Result<()> {
    let envelopes = open(path)?.map(|recorded| recorded.map(|recorded| recorded.envelope));
    let mut out = BufWriter::new(io::stdout().lock());
    let shown = ::replay::show(&mut out, envelopes, job);
    match shown.and_then(|_| Ok(out.flush()?)) {
        // Whoever reads may stop reading, as `head` does.
        Err(ShowError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(ShowError::Read(error)) => Err(unread(error)),
        done => Ok(done?),
    }
}
