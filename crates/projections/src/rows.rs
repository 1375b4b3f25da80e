//! What a follower asks of the rows of a read model, wherever they lie: in sled ([`crate::table`]) or in
//! an index ([`crate::search`]).

use std::sync::Arc;
use std::time::Instant;

use domain::Seq;
use eventlog::{LogId, Signal};

use crate::letter::DeadLetter;
use crate::projection::Checkpoint;
use crate::table::TableError;

/// Where the rows of a read model stand.
pub trait Standing: Send + Sync + 'static {
    /// How far they are, as readers see them; `None` when they were never begun.
    ///
    /// # Errors
    /// When the store fails.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, TableError>;

    /// The same position, and ways to wait for it.
    fn position(&self) -> &Signal;

    /// Dead letters after a position, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    fn letters(&self, after: Seq, limit: usize) -> Result<Vec<DeadLetter>, TableError>;
}

/// The rows of one read model, and others that are folded beside them.
pub trait Rows: Standing + Sized {
    /// A handle for those who only look, and which keeps nothing open.
    fn standing(&self) -> Arc<dyn Standing>;

    /// Removes every row, and stands before the first event of `log`.
    ///
    /// # Errors
    /// When the store fails.
    fn reset(&self, version: u32, log: LogId) -> Result<(), TableError>;

    /// Why what was found when they were opened could not be used, if it could not.
    fn given_up(&self) -> Option<String>;

    /// Whether rows beside these were begun and are not in service yet.
    ///
    /// # Errors
    /// When the store fails.
    fn has_beside(&self) -> Result<bool, TableError>;

    /// Rows beside these, as far as they are, which nobody reads.
    ///
    /// # Errors
    /// When the store fails.
    fn beside(&self) -> Result<Self, TableError>;

    /// Removes the rows beside these.
    ///
    /// # Errors
    /// When the store fails.
    fn drop_beside(&self) -> Result<(), TableError>;

    /// The first key that has another row in `other`, or none.
    ///
    /// # Errors
    /// When the store fails.
    fn first_difference(&self, other: &Self) -> Result<Option<Vec<u8>>, TableError>;

    /// Has the rows beside these answer, for all readers at once, and drops these.
    ///
    /// # Errors
    /// When the store fails.
    fn switch_to(&self, beside: &Self) -> Result<(), TableError>;

    /// When [`Self::settle`] has to be called; `None` when there is nothing to settle.
    fn due(&self) -> Option<Instant>;

    /// Puts on the disk what was folded in and is not there yet. What is not settled is folded in again
    /// after a restart.
    ///
    /// # Errors
    /// When the store fails.
    fn settle(&self) -> Result<(), TableError>;

    /// Whether both have gone on without the same events.
    ///
    /// # Errors
    /// When the store fails.
    fn has_same_letters(&self, other: &Self) -> Result<bool, TableError> {
        let positions = |rows: &Self| {
            let letters = rows.letters(Seq(0), usize::MAX)?.into_iter();
            Ok::<Vec<_>, TableError>(letters.map(|letter| letter.seq).collect())
        };
        Ok(positions(self)? == positions(other)?)
    }
}
