//! What a read model promises. How one is driven is in [`crate::follow`].

use domain::Seq;
use eventlog::{LogId, Record};

use crate::letter::Letters;
use crate::rows::{Rows, Standing as _};
use crate::table::TableError;

/// Up to where a read model has been folded, and from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The [`Projection::VERSION`] that wrote it.
    pub version: u32,
    /// The log it was folded from.
    pub log: LogId,
    /// The last event folded in; zero when there is none.
    pub seq: Seq,
}

/// Why events could not be folded in. The read model is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The rows could not be read or written.
    #[error("the rows could not be read or written")]
    Table(#[from] TableError),
    /// The batch does not go on where the read model stands.
    #[error("event {found} does not follow event {after}")]
    Gap {
        /// The last event folded in.
        after: Seq,
        /// The event offered next.
        found: Seq,
    },
}

/// A read model: rows folded from the log, and how far. Rows and checkpoint change together, so a
/// crash at any moment leaves one that can go on.
pub trait Projection: Sized {
    /// Its name in the store and in messages.
    const NAME: &'static str;
    /// Raised whenever the rows or what they say change; the rows are then folded anew.
    const VERSION: u32;
    /// The oldest [`Self::VERSION`] whose rows this program can read; they answer until those of this
    /// version are folded. Raised whenever a row changes its form.
    const READABLE_SINCE: u32;

    /// Where its rows lie.
    type Rows: Rows;

    /// Its rows.
    fn rows(&self) -> &Self::Rows;

    /// The same read model with other rows.
    #[must_use]
    fn over(&self, rows: Self::Rows) -> Self;

    /// Folds in the events that follow the checkpoint, all or none. One that cannot be folded in
    /// becomes a dead letter.
    ///
    /// # Errors
    /// When the store fails or the events do not follow.
    fn apply(&mut self, batch: &[Record]) -> Result<(), ApplyError>;

    /// How far it is; `None` when it was never started.
    ///
    /// # Errors
    /// When the store fails.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, ApplyError> {
        Ok(self.rows().checkpoint()?)
    }

    /// Forgets everything and begins before the first event of this log.
    ///
    /// # Errors
    /// When the store fails.
    fn reset(&mut self, log: LogId) -> Result<(), ApplyError> {
        Ok(self.rows().reset(Self::VERSION, log)?)
    }

    /// The events that it has gone on without.
    fn letters(&self) -> Letters {
        Letters::of(self.rows().standing())
    }
}

/// Makes a read model of a type that has nothing but its `table`: one event after the other is folded into
/// the rows by a function.
macro_rules! folded {
    ($model:ty, $name:literal, version $version:literal, readable since $since:literal, by $fold:path) => {
        impl $crate::projection::Projection for $model {
            const NAME: &'static str = $name;
            const VERSION: u32 = $version;
            const READABLE_SINCE: u32 = $since;

            type Rows = $crate::table::Table;

            fn rows(&self) -> &$crate::table::Table {
                &self.table
            }

            fn over(&self, table: $crate::table::Table) -> Self {
                Self { table }
            }

            fn apply(
                &mut self,
                batch: &[::eventlog::Record],
            ) -> Result<(), $crate::projection::ApplyError> {
                self.table.apply(batch, $fold)
            }
        }
    };
}
pub(crate) use folded;
