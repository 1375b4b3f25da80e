//! `reprise replay`: looks at recorded histories with the pure engine. No node, no network.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ::replay::show::ShowError;
use ::replay::verify::VerifyError;
use anyhow::Context;
use domain::{Envelope, JobId, Seq};
use eventlog::history::HistoryReader;
use eventlog::{Log, OpenError};

use crate::exit::Failure;
use crate::{log, simulate};

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
    /// Let the core live in a simulated world in which things go wrong: exit code 6 when a law breaks
    Simulate(simulate::Options),
}

/// Where events come from could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Log(#[from] eventlog::ReadError),
    #[error(transparent)]
    History(#[from] eventlog::history::ReadError),
}

type Envelopes = Box<dyn Iterator<Item = Result<Envelope, ReadError>>>;

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Verify { history } => verify(history),
        Command::Show { history, job } => show(history, job.map(JobId)),
        Command::Simulate(options) => simulate::simulate(options),
    }
}

/// The events at `path`; at least one, because what is said of none is true of everything.
fn open(path: &Path) -> anyhow::Result<Envelopes> {
    let mut envelopes =
        if path.is_dir() { open_log(path)? } else { open_history(path)? }.peekable();
    if envelopes.peek().is_none() {
        return Err(Failure::not_found(format!(
            "{} holds no events; name a file of `reprise job export-history`, or the data folder of \
             a node that has run",
            path.display()
        )));
    }
    Ok(Box::new(envelopes))
}

fn open_log(data: &Path) -> anyhow::Result<Envelopes> {
    let reader = Log::read(&data.join("log")).map_err(|error| match error {
        OpenError::NotALog => Failure::not_found(format!(
            "{} holds no event log; name the data folder of a node",
            data.display()
        )),
        OpenError::InUse => anyhow::Error::from(error).context(format!(
            "cannot open the log of {}; is its node still running?",
            data.display()
        )),
        OpenError::Damaged(_) | OpenError::Store(_) => log::damaged(&error),
        error => {
            anyhow::Error::from(error).context(format!("cannot open the log of {}", data.display()))
        }
    })?;
    let durable = reader.durable();
    Ok(Box::new(reader.range(Seq(1)..=durable).map(|read| read.map_err(Into::into))))
}

fn open_history(path: &Path) -> anyhow::Result<Envelopes> {
    if !path.exists() {
        return Err(Failure::not_found(format!("there is no {}", path.display())));
    }
    let reader = HistoryReader::open(path)
        .with_context(|| format!("{} is not a history", path.display()))?;
    Ok(Box::new(reader.map(|read| read.map_err(Into::into))))
}

fn verify(path: &Path) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    match ::replay::verify_engine(open(path)?) {
        Ok(verified) => {
            let seconds = started.elapsed().as_secs_f64();
            let events = verified.inputs + verified.decisions;
            println!(
                "replayed {} inputs: all {} decisions came out byte for byte the same ({:.0} \
                 events/s)",
                verified.inputs,
                verified.decisions,
                events as f64 / seconds.max(1e-6),
            );
            Ok(())
        }
        Err(VerifyError::Divergence(divergence)) => {
            Err(Failure::unverified(divergence.to_string()))
        }
        Err(VerifyError::Read(error)) => Err(unread(error)),
        Err(error) => Err(error.into()),
    }
}

/// A log that turns out to be damaged while it is read.
fn unread(error: ReadError) -> anyhow::Error {
    match error {
        ReadError::Log(error) => log::damaged(&error),
        error => anyhow::Error::from(error).context("the history could not be read"),
    }
}

fn show(path: &Path, job: Option<JobId>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let shown = ::replay::show(&mut out, open(path)?, job);
    match shown.and_then(|_| Ok(out.flush()?)) {
        // Whoever reads may stop reading, as `head` does.
        Err(ShowError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(ShowError::Read(error)) => Err(unread(error)),
        done => Ok(done?),
    }
}
