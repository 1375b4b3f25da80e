//! Brings an engine to where the log ends. Unlike a view it goes on without no event: what it decides
//! would not follow from what happened.

use domain::{Envelope, Seq, Timestamp};
use engine::Engine;
use eventlog::{Damage, ReadError};

/// Why an engine could not be brought to where the log ends.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The log could not be read.
    #[error("the event log cannot be read")]
    Read(#[source] ReadError),
    /// A newer program went on with the log.
    #[error(
        "event {seq} is of type {kind}, version {version}, which this program does not know: a newer \
         one has written it, and only that or a later one can go on"
    )]
    Unknown {
        /// The first event that is not understood.
        seq: Seq,
        /// Number of its type.
        kind: u16,
        /// Version of its fields.
        version: u8,
    },
}

/// The engine after the events, and the time of the last.
pub(crate) fn recover(
    events: impl IntoIterator<Item = Result<Envelope, ReadError>>,
) -> Result<(Engine, Timestamp), RecoverError> {
    let mut engine = Engine::new();
    let mut last = Timestamp(0);
    for envelope in events {
        let envelope = envelope.map_err(|error| match error {
            ReadError::Damaged { seq, damage: Damage::UnknownEvent { kind, version } } => {
                RecoverError::Unknown { seq, kind, version }
            }
            error => RecoverError::Read(error),
        })?;
        last = envelope.at;
        engine.recover(&envelope);
    }
    Ok((engine, last))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_event_of_a_newer_program_is_refused_by_its_position_and_type() {
        let damage = Damage::UnknownEvent { kind: 999, version: 1 };
        let unknown = Err(ReadError::Damaged { seq: Seq(5), damage });
        let Err(error) = recover([unknown]) else { panic!("it went on") };
        let words = error.to_string();
        assert!(words.starts_with("event 5 is of type 999, version 1, which"), "{words}");
    }

    #[test]
    fn damage_is_no_newer_program() {
        let damaged = Err(ReadError::Damaged { seq: Seq(5), damage: Damage::Checksum });
        assert!(matches!(recover([damaged]), Err(RecoverError::Read(_))));
    }
}
