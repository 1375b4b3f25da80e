//! Folds a read model on, and anew beside the rows that answer. It decides when that has to be and
//! when the new rows take over; how rows lie beside each other is in `generation`, who calls it is
//! [`crate::follow`].
//!
//! Rows of this version go on being folded while new ones catch up with them. Where both then stand
//! on the same events they must be equal, or the new ones are dropped. Rows of an earlier version
//! stay as they are, because this program's fold would make a mixture of them.

use std::time::Instant;

use domain::Seq;
use eventlog::{Reader, Record};

use crate::follow::FollowError;
use crate::projection::{ApplyError, Checkpoint, Projection};
use crate::rows::{Rows, Standing as _};
use crate::table::TableError;

/// Events folded in at once; a read model's readers wait for no longer than that takes.
const BATCH: u64 = 512;

/// A read model at work, with the rows that are folded beside it.
pub(crate) struct Refold<'a, P> {
    serving: &'a mut P,
    beside: Option<P>,
    reader: &'a Reader,
    given_up: Option<String>,
}

/// What one step has done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It has folded this many events in.
    Folded(u64),
    /// There was nothing to do.
    Nothing,
}

impl<'a, P: Projection> Refold<'a, P> {
    /// Finds out what has to be done. Rows of another log, rows ahead of the log and rows that this
    /// program cannot read are given up at once: nothing can answer until they are folded anew.
    pub(crate) fn begin(serving: &'a mut P, reader: &'a Reader) -> Result<Self, FollowError> {
        let found = serving.checkpoint().map_err(failed::<P>)?;
        let unfit = found.and_then(|it| unfit(&it, reader));
        let ours = found.filter(|_| unfit.is_none());
        let mut it = Self { serving, beside: None, reader, given_up: None };
        match ours.map(|it| it.version) {
            // One that was asked for when the process died is gone on with.
            Some(version) if version == P::VERSION => {
                if it.serving.rows().has_beside().map_err(table_failed::<P>)? {
                    it.rebuild()?;
                }
            }
            Some(version) if (P::READABLE_SINCE..P::VERSION).contains(&version) => it.rebuild()?,
            other => {
                let unread =
                    other.map(|version| format!("the rows found are of version {version}"));
                let why = unfit.or(unread).or_else(|| it.serving.rows().given_up());
                it.given_up = why.map(|why| format!("folded anew from the first event: {why}"));
                it.drop_beside()?;
                it.serving.reset(reader.identity()).map_err(failed::<P>)?;
            }
        }
        Ok(it)
    }

    /// Begins to fold anew, or goes on with what is there.
    pub(crate) fn rebuild(&mut self) -> Result<(), FollowError> {
        if self.beside.is_some() {
            return Ok(());
        }
        let table = self.serving.rows().beside().map_err(table_failed::<P>)?;
        let mut beside = self.serving.over(table);
        let fits = beside.checkpoint().map_err(failed::<P>)?.is_some_and(|checkpoint| {
            checkpoint.version == P::VERSION && unfit(&checkpoint, self.reader).is_none()
        });
        if !fits {
            beside.reset(self.reader.identity()).map_err(failed::<P>)?;
        }
        self.beside = Some(beside);
        Ok(())
    }

    /// Why the rows found could not be gone on with, if they could not.
    pub(crate) fn given_up(&self) -> Option<String> {
        self.given_up.clone()
    }

    /// When [`Self::settle`] has to be called, if it has to.
    pub(crate) fn due(&self) -> Option<Instant> {
        let beside = self.beside.as_ref().and_then(|beside| beside.rows().due());
        self.serving.rows().due().into_iter().chain(beside).min()
    }

    /// Puts on the disk what is not there yet.
    pub(crate) fn settle(&self) -> Result<(), FollowError> {
        let beside = self.beside.as_ref().map(P::rows);
        let mut rows = std::iter::once(self.serving.rows()).chain(beside);
        rows.try_for_each(Rows::settle).map_err(table_failed::<P>)
    }

    /// How far the rows beside are.
    pub(crate) fn rebuilt_to(&self) -> Option<Seq> {
        self.beside.as_ref().map(|beside| beside.rows().position().position())
    }

    /// Goes one batch further.
    pub(crate) fn step(&mut self) -> Result<Done, FollowError> {
        let checkpoint = self.serving.checkpoint().map_err(failed::<P>)?;
        let is_current = checkpoint.is_some_and(|it| it.version == P::VERSION);
        let mut folded = 0;
        if is_current {
            folded += advance(self.serving, self.reader, self.reader.durable())?;
        }
        if let Some(beside) = &mut self.beside {
            let caught_up = advance(beside, self.reader, self.reader.durable())?;
            folded += caught_up;
            if folded == 0 {
                self.put_in_service(is_current)?;
                return Ok(Done::Folded(0));
            }
        }
        Ok(if folded == 0 { Done::Nothing } else { Done::Folded(folded) })
    }

    /// Both have everything: the rows beside take over if they are as good.
    fn put_in_service(&mut self, is_current: bool) -> Result<(), FollowError> {
        let Some(beside) = self.beside.take() else { return Ok(()) };
        let (old, new) = (self.serving.rows(), beside.rows());
        let at = new.position().position();
        if is_current && old.position().position() != at {
            // The log has grown between the two.
            self.beside = Some(beside);
            return Ok(());
        }
        // What is folded in now and was a dead letter before is what the new rows are for.
        let is_compared = is_current && old.has_same_letters(new).map_err(table_failed::<P>)?;
        if is_compared && let Some(key) = old.first_difference(new).map_err(table_failed::<P>)? {
            drop(beside);
            self.drop_beside()?;
            return Err(FollowError::Differs { view: P::NAME, at, key: Hex(key) });
        }
        self.serving.rows().switch_to(beside.rows()).map_err(table_failed::<P>)
    }

    fn drop_beside(&self) -> Result<(), FollowError> {
        self.serving.rows().drop_beside().map_err(table_failed::<P>)
    }
}

/// Why rows cannot be gone on with by this log, if they cannot.
fn unfit(found: &Checkpoint, reader: &Reader) -> Option<String> {
    if found.log != reader.identity() {
        return Some(format!("the rows found are of another log, {}", found.log));
    }
    let durable = reader.durable();
    (found.seq > durable).then(|| {
        format!("the rows found are at event {}, and the log ends at event {durable}", found.seq)
    })
}

/// A key as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hex(Vec<u8>);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Folds one batch in, of events up to `last`; the number of its events.
pub(crate) fn advance<P: Projection>(
    projection: &mut P,
    reader: &Reader,
    last: Seq,
) -> Result<u64, FollowError> {
    let checkpoint = projection.checkpoint().map_err(failed::<P>)?;
    let after = checkpoint.map_or(0, |checkpoint| checkpoint.seq.0);
    let batch: Vec<Record> = reader
        .records(Seq(after.saturating_add(1))..=last.min(Seq(after.saturating_add(BATCH))))
        .collect::<Result<_, _>>()
        .map_err(|source| FollowError::Read { view: P::NAME, source })?;
    if !batch.is_empty() {
        projection.apply(&batch).map_err(failed::<P>)?;
    }
    Ok(batch.len() as u64)
}

fn failed<P: Projection>(source: ApplyError) -> FollowError {
    FollowError::Apply { view: P::NAME, source }
}

fn table_failed<P: Projection>(source: TableError) -> FollowError {
    failed::<P>(source.into())
}
