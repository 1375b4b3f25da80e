//! Dead letters: events that a read model could not fold in and has gone on without. They lie among
//! its rows and are written in the same commit as the step past them.
//!
//! ```text
//! 0 | seq u64   -> at u64 | 1 when acknowledged | reason
//! ```
//! One is acknowledged by a command in the log, [`domain::Command::SkipDeadLetter`].
//!
//! Nothing folds a single event in later, because rows depend on the order: trying again is folding
//! everything anew, see [`crate::follow::Control::rebuild`].

use std::sync::Arc;

use domain::{Seq, Timestamp};

use crate::foreign;
use crate::rows::Standing;
use crate::table::TableError;

/// First byte of the keys. That of the checkpoint is this byte alone, and rows begin after both.
pub(crate) const PREFIX: u8 = 0;

/// An event that could not be folded in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its position.
    pub seq: Seq,
    /// When it was recorded.
    pub at: Timestamp,
    /// Why it could not be folded in.
    pub reason: String,
    /// Whether a person has seen it and goes on without it.
    pub acknowledged: bool,
}

/// The dead letters of one read model.
pub struct Letters(Arc<dyn Standing>);

impl Letters {
    pub(crate) fn of(rows: Arc<dyn Standing>) -> Self {
        Self(rows)
    }

    /// Those after a position, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn list(&self, after: Seq, limit: usize) -> Result<Vec<DeadLetter>, TableError> {
        self.0.letters(after, limit)
    }

    /// How many nobody has acknowledged.
    ///
    /// # Errors
    /// When the store fails.
    pub fn unacknowledged(&self) -> Result<u64, TableError> {
        let letters = self.0.letters(Seq(0), usize::MAX)?;
        Ok(letters.iter().filter(|letter| !letter.acknowledged).count() as u64)
    }

    /// Whether there is one at this position.
    ///
    /// # Errors
    /// When the store fails.
    pub fn has(&self, seq: Seq) -> Result<bool, TableError> {
        let after = Seq(seq.0.saturating_sub(1));
        Ok(self.list(after, 1)?.first().is_some_and(|letter| letter.seq == seq))
    }
}

impl DeadLetter {
    pub(crate) fn new(seq: Seq, at: Timestamp, reason: &str) -> Self {
        Self { seq, at, reason: foreign::text(reason), acknowledged: false }
    }

    // By hand and not by rkyv, as the checkpoint.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut value = self.at.0.to_le_bytes().to_vec();
        value.push(u8::from(self.acknowledged));
        value.extend_from_slice(self.reason.as_bytes());
        value
    }

    /// `None` for what is no dead letter.
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let seq = key.strip_prefix(&[PREFIX])?.try_into().ok()?;
        let (at, rest) = value.split_first_chunk::<8>()?;
        let (acknowledged, reason) = rest.split_first()?;
        Some(Self {
            seq: Seq(u64::from_be_bytes(seq)),
            at: Timestamp(u64::from_le_bytes(*at)),
            reason: String::from_utf8_lossy(reason).into_owned(),
            acknowledged: *acknowledged == 1,
        })
    }
}

pub(crate) fn key(seq: Seq) -> Vec<u8> {
    let mut key = vec![PREFIX];
    key.extend_from_slice(&seq.0.to_be_bytes());
    key
}
