//! What a replay takes from a log: each event, and the digest that was recorded beside it.

use domain::Envelope;
use eventlog::{Damage, Record};

/// A recorded event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The event.
    pub envelope: Envelope,
    /// On an input: the engine's digest after the step, if it was recorded.
    pub digest: Option<u64>,
}

impl From<Envelope> for Recorded {
    fn from(envelope: Envelope) -> Self {
        Self { envelope, digest: None }
    }
}

impl TryFrom<Record> for Recorded {
    type Error = Damage;

    fn try_from(record: Record) -> Result<Self, Damage> {
        Ok(Self { envelope: record.envelope()?, digest: record.digest })
    }
}
