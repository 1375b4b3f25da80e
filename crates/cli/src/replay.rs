//! `reprise replay`: looks at recorded histories with the pure engine. No node, no network.

mod source;
mod verify;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ::replay::show::ShowError;
use domain::JobId;

use source::{open, unread};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Decide everything again and compare: exit code 6 at the first difference
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
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Verify { history } => verify::run(history),
        Command::Show { history, job } => show(history, job.map(JobId)),
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
