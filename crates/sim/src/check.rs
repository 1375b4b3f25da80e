//! What must be true of any history, read from the log alone and apart from the code that wrote it;
//! and of a whole life, whose world knows the truth. Each law has its file.

use std::fmt;

use domain::{Envelope, Event, Policy, Seq};
use engine::Engine;

use crate::run::{BEGINNING, Life};
use files::Files;

pub use etiquette::keeps_etiquette;
pub use limits::keeps_limits;
pub use memory::forgets_no_refusal;
pub use patience::keeps_looking;
pub use proof::accepts_only_proof;

mod etiquette;
mod files;
mod limits;
mod memory;
mod patience;
mod proof;

#[cfg(test)]
mod tests;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// Nothing panics.
    NoPanic,
    /// Nothing is done again and again for nothing.
    Rest,
    /// What is recovered from the log is what was lived.
    Recovery,
    /// [`replays`].
    Replay,
    /// [`conserves`].
    Conservation,
    /// [`keeps_limits`].
    Limits,
    /// [`keeps_etiquette`].
    Etiquette,
    /// [`keeps_looking`].
    Patience,
    /// [`forgets_no_refusal`].
    Memory,
    /// [`accepts_only_proof`].
    Proof,
    /// [`completes`].
    Liveness,
    /// [`leaves_nothing`].
    Tidiness,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPanic => "no panic",
            Self::Rest => "rest",
            Self::Recovery => "recovery",
            Self::Replay => "replay",
            Self::Conservation => "conservation",
            Self::Limits => "limits",
            Self::Etiquette => "etiquette",
            Self::Patience => "patience",
            Self::Memory => "memory",
            Self::Proof => "proof",
            Self::Liveness => "liveness",
            Self::Tidiness => "tidiness",
        })
    }
}

/// A law that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub law: Law,
    /// The event at which it shows.
    pub seq: Seq,
    /// How.
    pub words: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken at event {}: {}", self.law, self.seq, self.words)
    }
}

impl std::error::Error for Broken {}

/// All laws.
///
/// # Errors
/// The first that does not hold.
pub fn all(life: &Life) -> Result<(), Broken> {
    if let Some(broken) = &life.broken {
        return Err(broken.clone());
    }
    replays(&life.log)?;
    of_the_log(&life.log, &life.policy)?;
    completes(life)?;
    leaves_nothing(life)
}

/// The laws that a log is judged by without stepping it again.
///
/// # Errors
/// The first that does not hold.
pub fn of_the_log(log: &[Envelope], policy: &Policy) -> Result<(), Broken> {
    conserves(log)?;
    keeps_limits(log, policy)?;
    keeps_etiquette(log, policy)?;
    keeps_looking(log)?;
    forgets_no_refusal(log)?;
    accepts_only_proof(log, policy)
}

/// Asks for each event of a log whether it is by a law.
fn each<'a>(
    law: Law,
    log: &'a [Envelope],
    mut is_wrong: impl FnMut(&'a Envelope) -> Result<(), String>,
) -> Result<(), Broken> {
    log.iter().try_for_each(|envelope| {
        is_wrong(envelope).map_err(|words| Broken { law, seq: envelope.seq, words })
    })
}

/// Replay: stepping the recorded inputs yields the recorded decisions.
///
/// # Errors
/// The first step that differs.
pub fn replays(log: &[Envelope]) -> Result<(), Broken> {
    let mut engine = Engine::new();
    let mut rest = log.iter().peekable();
    while let Some(entered) = rest.next() {
        let Event::Input(input) = &entered.event else {
            let words = "a decision without an input".to_owned();
            return Err(Broken { law: Law::Replay, seq: entered.seq, words });
        };
        let mut recorded = vec![entered.event.clone()];
        while let Some(next) = rest.next_if(|next| next.cause == entered.seq) {
            recorded.push(next.event.clone());
        }
        let step = engine.step(input.clone(), entered.at);
        if step.events != recorded {
            let words = format!("recorded {recorded:#?}, replayed {:#?}", step.events);
            return Err(Broken { law: Law::Replay, seq: entered.seq, words });
        }
    }
    Ok(())
}

/// Conservation: the bytes of a published file come from accepted chunks that follow each other
/// without a gap or overlap, each of which arrived before, with the same digest, by an assignment that
/// was open then and when it was accepted. The file was whole and proved before it was published, and
/// nothing of an attempt that was given up or refused, or of a cancelled job, is taken up again.
///
/// # Errors
/// The first violation.
pub fn conserves(log: &[Envelope]) -> Result<(), Broken> {
    let mut files = Files::default();
    each(Law::Conservation, log, |envelope| files.take(&envelope.event))
}

/// Liveness: the job is completed, with the right files, since one honest peer has them all.
///
/// # Errors
/// What is missing.
pub fn completes(life: &Life) -> Result<(), Broken> {
    let seq = Seq(life.log.len() as u64);
    let broken = |words| Broken { law: Law::Liveness, seq, words };
    if !life.is_completed() {
        let hours = life.now.ms_since(BEGINNING) / 3_600_000;
        return Err(broken(format!("the job is not completed after {hours} h")));
    }
    let tracks =
        life.engine.state().jobs.values().next_back().into_iter().flat_map(|job| &job.tracks);
    for path in tracks.map(|track| track.path.as_deref().unwrap_or_default()) {
        if !life.world.is_right(path) {
            return Err(broken(format!("{path:?} is not what it is called")));
        }
    }
    Ok(())
}

/// Tidiness: when all is done, nothing is left in staging.
///
/// # Errors
/// How much is left.
pub fn leaves_nothing(life: &Life) -> Result<(), Broken> {
    match life.world.staged() {
        0 => Ok(()),
        left => Err(Broken {
            law: Law::Tidiness,
            seq: Seq(life.log.len() as u64),
            words: format!("{left} staged files are left"),
        }),
    }
}
