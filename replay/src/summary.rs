//! What the engine knows, in lines for people. Never parsed back.

use std::fmt::{self, Display};

use domain::render::{Foreign, Named};
use domain::{JobId, Timestamp, TrackKey};
use engine::State;
use engine::state::{Job, JobPhase, Source, Standing, TrackJob, TrackPhase};

/// A state as it is at a time, all of it or one job with its sources.
pub struct Summary<'a> {
    /// The state.
    pub state: &'a State,
    /// The time, by which rests and budgets are over or not.
    pub at: Timestamp,
    /// The one job to tell of, with every source.
    pub job: Option<JobId>,
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, at, job: only } = self;
        let session = if state.run.session { "open" } else { "closed" };
        writeln!(f, "session   {session} at {}", at.rfc3339())?;
        for (id, job) in state.jobs.iter().filter(|(id, _)| only.is_none_or(|only| only == **id)) {
            write_job(f, state, *id, job, only.is_some())?;
        }
        if only.is_none() {
            self.write_rest(f)?;
        }
        Ok(())
    }
}

impl Summary<'_> {
    fn write_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, at, .. } = self;
        for (peer, known) in &state.peers {
            write!(
                f,
                "peer      {} told {} B/s, queue {}, slot {}; gave {} B in {} ms, {} files; failed \
                 {} times",
                Named(peer),
                known.advertised_bytes_per_s,
                known.queue_length,
                if known.slot_free { "free" } else { "busy" },
                known.bytes,
                known.busy_ms,
                known.completed,
                known.failed
            )?;
            if known.rest_until > *at {
                write!(f, ", rests until {}", known.rest_until.clock())?;
            }
            writeln!(f)?;
        }
        let policy = &state.run.policy;
        let window = |sent: &&Timestamp| sent.plus_ms(policy.search_window_ms) > *at;
        writeln!(
            f,
            "budget    {} of {} searches in {} s, {} of {} open",
            state.searches.sent.iter().filter(window).count(),
            policy.searches_per_window,
            policy.search_window_ms / 1000,
            state.searches.open.len(),
            policy.searches_in_flight
        )?;
        for (id, open) in &state.searches.open {
            writeln!(f, "search    {id} for job {}: {}", open.job, Foreign(&open.query))?;
        }
        for (id, open) in &state.transfers.open {
            writeln!(
                f,
                "transfer  {id} of {} from {}: {} of {} B, {}",
                open.track,
                Named(&open.peer),
                open.range,
                open.size,
                if open.started { "started" } else { "queued" }
            )?;
        }
        let (whole, heads) = (state.refused.whole.len(), state.refused.heads.len());
        writeln!(f, "refused   {whole} files, {heads} of them known by their beginning")
    }
}

fn write_job(
    f: &mut fmt::Formatter<'_>,
    state: &State,
    id: JobId,
    job: &Job,
    sources: bool,
) -> fmt::Result {
    let phase = match job.phase {
        JobPhase::LookingUp => "looking up",
        JobPhase::Active => "active",
        JobPhase::Completed => "completed",
        JobPhase::Failed => "failed",
        JobPhase::Cancelled => "cancelled",
    };
    write!(f, "job {id:<5} {phase}")?;
    match job.hold.map(|hold| hold.until) {
        Some(Some(until)) => write!(f, ", held until {}", until.clock())?,
        Some(None) => f.write_str(", held for a person")?,
        None => {}
    }
    match &job.target {
        Some(target) => writeln!(f, ": {}, {} tracks", Foreign(&target.title), job.tracks.len())?,
        None => writeln!(f, ": release {}", job.release)?,
    }
    for (index, track) in (0u16..).zip(&job.tracks) {
        write_track(f, state, TrackKey { job: id, index }, track)?;
        for (number, source) in track.sources.iter().enumerate().filter(|_| sources) {
            writeln!(f, "    source {number} {}", AsSource(source))?;
        }
    }
    Ok(())
}

/// One line about a track.
pub(crate) fn write_track(
    f: &mut impl fmt::Write,
    state: &State,
    key: TrackKey,
    track: &TrackJob,
) -> fmt::Result {
    write!(f, "  {key:<7} ")?;
    match track.phase {
        TrackPhase::Wanted => f.write_str("wanted")?,
        TrackPhase::Fetching(id) => match state.transfers.open.get(&id) {
            Some(open) => write!(f, "fetching from {}", Named(&open.peer))?,
            None => f.write_str("fetching")?,
        },
        TrackPhase::Examining => f.write_str("examining")?,
        TrackPhase::Identifying => f.write_str("identifying")?,
        TrackPhase::Publishing => f.write_str("publishing")?,
        TrackPhase::Completed => f.write_str("completed")?,
    }
    write!(f, ", attempt {}, held {}", track.attempt, track.held)?;
    match track.size {
        Some(size) => write!(f, " of {size} B")?,
        None => f.write_str(" B")?,
    }
    let usable = track.usable().count();
    write!(f, ", {usable} of {} sources usable", track.sources.len())?;
    if let Some(at) = track.search_at {
        write!(f, ", searched again at {}", at.clock())?;
    }
    writeln!(f)
}

/// A source in a line.
pub(crate) struct AsSource<'a>(pub &'a Source);

impl Display for AsSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(source) = self;
        write!(
            f,
            "{} {} B likeness {}, {}",
            Named(&source.peer),
            source.size,
            source.likeness,
            standing(source.standing)
        )?;
        if source.failures > 0 {
            write!(f, ", failed {} times", source.failures)?;
        }
        if source.suspicions > 0 {
            write!(f, ", suspected {} times", source.suspicions)?;
        }
        write!(f, " {}", Foreign(&source.path))
    }
}

pub(crate) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Usable => "usable",
        Standing::SetAside => "set aside for this attempt",
        Standing::Failed => "dropped until it is offered again",
        Standing::Refused => "refused for good",
    }
}
