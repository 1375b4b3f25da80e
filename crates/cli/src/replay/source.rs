//! Where the events of a replay come from: an exported history, or the log of a node that is not
//! running.

use std::path::Path;

use ::replay::Recorded;
use anyhow::Context;
use domain::Seq;
use eventlog::history::{Header, HistoryReader, Identities};
use eventlog::{Damage, Log, OpenError};

use crate::exit::Failure;
use crate::log;

/// Where events come from could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Log(#[from] eventlog::ReadError),
    #[error(transparent)]
    History(#[from] eventlog::history::ReadError),
    #[error("event {seq}: {damage}")]
    Event { seq: Seq, damage: Damage },
}

pub(super) type Events = Box<dyn Iterator<Item = Result<Recorded, ReadError>>>;

/// The events at `path`; at least one, because what is said of none is true of everything.
pub(super) fn open(path: &Path) -> anyhow::Result<Events> {
    let mut events = if path.is_dir() { open_log(path)? } else { open_history(path)? }.peekable();
    if events.peek().is_none() {
        return Err(Failure::not_found(format!(
            "{} holds no events; name a file of `reprise job export-history`, or the data folder of \
             a node that has run",
            path.display()
        )));
    }
    Ok(Box::new(events))
}

/// What a file says about itself, on one line; nothing of a folder.
pub(super) fn told(path: &Path) -> Option<String> {
    let reader = HistoryReader::open(path).ok()?;
    let Header { build, engine, seed, job, range, identities, policy: _ } = reader.header();
    let mut told = if build.is_empty() { "an unnamed build".to_owned() } else { build.clone() };
    told += &format!(", decision rules {engine}");
    if let Some(seed) = seed {
        told += &format!(", the life of seed {seed}");
    }
    if let Some(job) = job {
        told += &format!(", job {job}");
    }
    if let Some((first, last)) = range {
        told += &format!(", events {first} to {last}");
    }
    Some(match identities {
        Identities::Kept => told,
        Identities::Replaced => told + ", other names stand for people and their paths",
    })
}

fn open_log(data: &Path) -> anyhow::Result<Events> {
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
    Ok(Box::new(reader.records(Seq(1)..=durable).map(|record| {
        let record = record?;
        let seq = record.seq;
        let damaged = |damage| eventlog::ReadError::Damaged { seq, damage };
        Recorded::try_from(record).map_err(|damage| damaged(damage).into())
    })))
}

fn open_history(path: &Path) -> anyhow::Result<Events> {
    if !path.exists() {
        return Err(Failure::not_found(format!("there is no {}", path.display())));
    }
    let reader = HistoryReader::open(path)
        .with_context(|| format!("{} is not a history", path.display()))?;
    Ok(Box::new(reader.records().map(|record| {
        let record = record?;
        let seq = record.seq;
        Recorded::try_from(record).map_err(|damage| ReadError::Event { seq, damage })
    })))
}

/// A log that turns out to be damaged while it is read.
pub(super) fn unread(error: ReadError) -> anyhow::Error {
    match error {
        ReadError::Log(error) => log::damaged(&error),
        error => anyhow::Error::from(error).context("the history could not be read"),
    }
}
