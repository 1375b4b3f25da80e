//! `reprise replay step`, `state`, `diff` and `why`: what was known, done and decided at a position of a
//! history.

use std::io::{self, Write};
use std::path::Path;

use ::replay::summary::Summary;
use ::replay::timeline::{Timeline, TimelineError};
use ::replay::why::WhyError;
use domain::{JobId, Seq};

use super::source::{open, unread};
use crate::exit::Failure;

pub(super) fn step(path: &Path, at: Seq) -> anyhow::Result<()> {
    let timeline = timeline(path, at)?;
    print(&::replay::step(&timeline, at).ok_or_else(|| no_event(&timeline, at))?)
}

pub(super) fn state(path: &Path, at: Seq, job: Option<JobId>) -> anyhow::Result<()> {
    let timeline = timeline(path, at)?;
    let (Some(engine), Some(event)) = (timeline.engine(at), timeline.event(at)) else {
        return Err(no_event(&timeline, at));
    };
    let state = engine.state();
    if let Some(job) = job.filter(|job| state.job(*job).is_none()) {
        return Err(Failure::not_found(format!("there is no job {job} at event {at}")));
    }
    print(&Summary { state, at: event.at, job }.to_string())
}

pub(super) fn diff(path: &Path, first: Seq, second: Seq) -> anyhow::Result<()> {
    let last = first.max(second);
    let timeline = timeline(path, last)?;
    print(&::replay::changes(&timeline, first, second).ok_or_else(|| no_event(&timeline, last))?)
}

pub(super) fn why(path: &Path, decision: Seq) -> anyhow::Result<()> {
    let timeline = timeline(path, decision)?;
    match ::replay::why(&timeline, decision) {
        Ok(text) => print(&text),
        Err(WhyError::Unknown(seq)) => Err(no_event(&timeline, seq)),
        Err(error @ WhyError::Input(_)) => Err(Failure::not_found(error.to_string())),
        Err(error @ WhyError::Otherwise { .. }) => Err(Failure::unverified(error.to_string())),
    }
}

/// The history up to a position: what comes after it is not read.
pub(super) fn timeline(path: &Path, until: Seq) -> anyhow::Result<Timeline> {
    Timeline::read(open(path)?, until).map_err(|error| match error {
        TimelineError::Read(error) => unread(error),
        error @ TimelineError::Gap { .. } => error.into(),
    })
}

pub(super) fn no_event(timeline: &Timeline, seq: Seq) -> anyhow::Error {
    let mut words = format!("there is no event {seq}");
    if seq > timeline.last() {
        words += &format!("; the last one is {}", timeline.last());
    }
    Failure::not_found(words)
}

pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads may stop reading, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}
