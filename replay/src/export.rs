//! Writes a history as a file for somebody else: `.replay`. Its form is `eventlog::history`'s; here it gets
//! its header, and loses the names of people unless they are asked for, see [`mod@crate::redact`].

use std::io::Write;

use domain::{Envelope, Event, Input, Observation};
use engine::Engine;
use eventlog::history::{Header, Identities, WriteError, write_envelopes, write_history};
use eventlog::{EncodeError, Record};

use crate::redact::{RedactError, Redaction};

/// A history that is known to be fit for writing.
#[derive(Debug, Clone)]
pub struct Export {
    header: Header,
    redaction: Option<Redaction>,
}

impl Export {
    /// Reads a history for what its header says, and tries whether it can do without names, if the header
    /// says so. `history` is read as often as that takes, and has to be the same each time.
    ///
    /// # Errors
    /// When the history cannot be read, or would not be true without its names.
    pub fn prepare<E, I>(
        mut header: Header,
        history: impl Fn() -> I,
    ) -> Result<Self, RedactError<E>>
    where
        E: std::error::Error + 'static,
        I: Iterator<Item = Result<Record, E>>,
    {
        if header.identities == Identities::Kept {
            for record in history() {
                note_run(&mut header, &record.map_err(RedactError::Read)?);
            }
            return Ok(Self { header, redaction: None });
        }
        let heard = history().inspect(|record| {
            if let Ok(record) = record {
                note_run(&mut header, record);
            }
        });
        let redaction = Redaction::of(heard)?;
        redaction.records(history()).try_for_each(|record| record.map(drop))?;
        Ok(Self { header, redaction: Some(redaction) })
    }

    /// Writes the history that was prepared; the number of events.
    ///
    /// # Errors
    /// When it cannot be read or written. What was written by then is no valid history.
    pub fn write<E: std::error::Error + 'static>(
        &self,
        out: impl Write,
        history: impl Iterator<Item = Result<Record, E>>,
    ) -> Result<u64, WriteError<RedactError<E>>> {
        match &self.redaction {
            Some(redaction) => write_history(out, &self.header, redaction.records(history)),
            None => {
                let records = history.map(|record| record.map_err(RedactError::Read));
                write_history(out, &self.header, records)
            }
        }
    }
}

/// What the last run decided by.
fn note_run(header: &mut Header, record: &Record) {
    if record.schema.name() == Some("NodeStarted")
        && let Ok(envelope) = record.envelope()
        && let Event::Input(Input::Observation(Observation::NodeStarted { policy, .. })) =
            envelope.event
    {
        header.policy = Some(policy);
    }
}

/// Writes a life that is in no log, such as a simulated one, with the digest after each step; the number
/// of events.
///
/// # Errors
/// When it cannot be written.
pub fn write_life(
    out: impl Write,
    header: &Header,
    log: &[Envelope],
) -> Result<u64, WriteError<EncodeError>> {
    let mut engine = Engine::new();
    let steps = log.chunk_by(|_, next| next.cause != next.seq);
    let events = steps.flat_map(|step| {
        step.iter().for_each(|envelope| engine.recover(envelope));
        let digest = engine.digest();
        step.iter()
            .map(move |envelope| (envelope, (envelope.cause == envelope.seq).then_some(digest)))
    });
    write_envelopes(out, header, events)
}
