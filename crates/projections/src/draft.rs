//! Folds a batch: what the rows will be once it is committed, and which events became dead letters.
//! Where the rows lie is [`Stored`]'s: in sled for `table`, in an index for `search`.

use std::collections::BTreeMap;

use domain::{Command, Envelope, Event, Input, Seq, Timestamp};
use eventlog::Record;

use crate::letter::{self, DeadLetter};
use crate::projection::{ApplyError, Checkpoint};
use crate::table::{ROW_MOST, Row, TableError};

/// Rows as the last batch left them.
pub(crate) trait Stored {
    /// A row, by its key.
    fn get(&self, key: &[u8]) -> Result<Written, TableError>;
    /// Rows whose key begins with `prefix`, in order, with their whole keys.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Keyed>, TableError>;
}

/// A row with its key.
pub(crate) type Keyed = (Vec<u8>, Vec<u8>);

/// Rows to write and to remove, by key.
pub(crate) type Changes = BTreeMap<Vec<u8>, Written>;

/// Folds in the events that follow `checkpoint` and moves it: `fold` sees the rows as the events before
/// left them. An event that it cannot fold in, or that is not understood, changes no row and becomes a
/// dead letter.
pub(crate) fn fold_batch(
    view: &str,
    stored: &dyn Stored,
    checkpoint: &mut Checkpoint,
    batch: &[Record],
    mut fold: impl FnMut(&mut Draft<'_>, &Envelope) -> Result<(), TableError>,
) -> Result<Changes, ApplyError> {
    let mut draft = Draft { stored, changed: BTreeMap::new(), undo: Vec::new() };
    for record in batch {
        if Some(record.seq.0) != checkpoint.seq.0.checked_add(1) {
            return Err(ApplyError::Gap { after: checkpoint.seq, found: record.seq });
        }
        let refused = match record.envelope() {
            Ok(envelope) => {
                match draft.skip(view, &envelope).and_then(|()| fold(&mut draft, &envelope)) {
                    Ok(()) => None,
                    Err(error) if error.is_of_event() => Some(error.to_string()),
                    Err(error) => return Err(error.into()),
                }
            }
            Err(damage) => Some(damage.to_string()),
        };
        match refused {
            None => draft.undo.clear(),
            Some(reason) => draft.set_aside(record.seq, record.at, &reason),
        }
        checkpoint.seq = record.seq;
    }
    Ok(draft.changed)
}

/// A row that is to be written, or none where one is to be removed.
pub(crate) type Written = Option<Vec<u8>>;

/// Rows as they will be once the batch at hand is committed.
pub(crate) struct Draft<'a> {
    stored: &'a dyn Stored,
    changed: BTreeMap<Vec<u8>, Written>,
    /// What the event at hand has changed, with what was to be written before.
    undo: Vec<(Vec<u8>, Option<Written>)>,
}

impl Draft<'_> {
    pub(crate) fn get<R: Row>(&self, key: &[u8]) -> Result<Option<R>, TableError> {
        match self.changed.get(key) {
            Some(value) => value.as_deref().map(R::decode).transpose(),
            None => self.stored.get(key)?.map(|value| R::decode(&value)).transpose(),
        }
    }

    pub(crate) fn put<R: Row>(&mut self, key: &[u8], row: &R) -> Result<(), TableError> {
        let value = row.encode()?;
        if value.len() > ROW_MOST {
            return Err(TableError::TooLong(value.len()));
        }
        self.set(key, Some(value));
        Ok(())
    }

    /// Writes a key that says all by itself.
    pub(crate) fn mark(&mut self, key: &[u8]) {
        self.set(key, Some(Vec::new()));
    }

    pub(crate) fn is_marked(&self, key: &[u8]) -> Result<bool, TableError> {
        match self.changed.get(key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.stored.get(key)?.is_some()),
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.set(key, None);
    }

    /// Changes a row if there is one.
    pub(crate) fn update<R: Row>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut R),
    ) -> Result<(), TableError> {
        match self.get::<R>(key)? {
            Some(mut row) => {
                change(&mut row);
                self.put(key, &row)
            }
            None => Ok(()),
        }
    }

    /// Rows whose key begins with `prefix`, in order, with their whole keys.
    pub(crate) fn scan<R: Row>(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, R)>, TableError> {
        let mut rows: BTreeMap<_, _> = self.stored.scan(prefix)?.into_iter().collect();
        let later = self.changed.range(prefix.to_vec()..);
        for (key, value) in later.take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        rows.into_iter().map(|(key, value)| Ok((key, R::decode(&value)?))).collect()
    }

    /// Whether the model has gone on without the event.
    pub(crate) fn is_set_aside(&self, seq: Seq) -> Result<bool, TableError> {
        self.is_marked(&letter::key(seq))
    }

    /// What a person skips is told by the log, so that it stays skipped whatever is folded anew.
    fn skip(&mut self, view: &str, envelope: &Envelope) -> Result<(), TableError> {
        match &envelope.event {
            Event::Input(Input::Command(Command::SkipDeadLetter { view: skipped, event }))
                if skipped == view =>
            {
                self.acknowledge(*event)
            }
            _ => Ok(()),
        }
    }

    /// Takes back what the event at hand has changed, and goes on without it.
    fn set_aside(&mut self, seq: Seq, at: Timestamp, reason: &str) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(before) => self.changed.insert(key, before),
                None => self.changed.remove(&key),
            };
        }
        let letter = DeadLetter::new(seq, at, reason);
        self.changed.insert(letter::key(seq), Some(letter.write()));
    }

    /// Marks a dead letter as skipped, if there is one at this position.
    fn acknowledge(&mut self, seq: Seq) -> Result<(), TableError> {
        let key = letter::key(seq);
        let value = match self.changed.get(&key) {
            Some(value) => value.clone(),
            None => self.stored.get(&key)?,
        };
        if let Some(letter) = value.and_then(|value| DeadLetter::read(&key, &value)) {
            let letter = DeadLetter { acknowledged: true, ..letter };
            self.set(&key, Some(letter.write()));
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: Written) {
        let before = self.changed.insert(key.to_vec(), value);
        self.undo.push((key.to_vec(), before));
    }
}
