//! Makes a log of a history: events keep their positions, times and digests, and the log is a new one
//! with an identity of its own. What comes after a hole cannot be replayed and is left out.

use std::path::Path;

use domain::{Event, Seq, Timestamp};

use crate::damage::Damage;
use crate::log::{AppendError, Log, OpenError, Step};
use crate::record::{CommandId, Record};

/// Steps appended at once.
const BATCH: usize = 256;

/// Why a history was not imported. `E` is why its events could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ImportError<E: std::error::Error + 'static> {
    /// There is a log already.
    #[error("there is a log already, and a history is imported into a new one")]
    NotEmpty,
    /// The log could not be opened.
    #[error("the log could not be opened")]
    Open(#[from] OpenError),
    /// The events could not be had.
    #[error("the history could not be read")]
    Read(#[source] E),
    /// An event is not understood.
    #[error("event {seq}: {damage}")]
    Event {
        /// Its position.
        seq: Seq,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The log took nothing more.
    #[error("the log took nothing more")]
    Append(#[from] AppendError),
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The last event.
    pub last: Seq,
    /// The first event that is missing, if anything came after it.
    pub hole: Option<Seq>,
}

/// Appends a history to the new log in `dir`.
///
/// # Errors
/// When there is a log already, the history cannot be read, or the log takes nothing more.
pub fn import<E: std::error::Error + 'static>(
    dir: &Path,
    records: impl IntoIterator<Item = Result<Record, E>>,
) -> Result<Imported, ImportError<E>> {
    let (mut log, reader) = Log::open(dir)?;
    if reader.durable() > Seq(0) {
        return Err(ImportError::NotEmpty);
    }
    let mut batch: Vec<Read> = Vec::new();
    let (mut last, mut hole) = (Seq(0), None);
    for record in records {
        let record = record.map_err(ImportError::Read)?;
        let is_input = record.schema.is_input();
        if record.seq.0 != last.0 + 1 || (batch.is_empty() && !is_input) {
            hole = Some(Seq(last.0 + 1));
            break;
        }
        let envelope =
            record.envelope().map_err(|damage| ImportError::Event { seq: record.seq, damage })?;
        last = record.seq;
        if is_input {
            if batch.len() == BATCH {
                append(&mut log, &batch)?;
                batch.clear();
            }
            let (digest, command) = (record.digest, record.command);
            batch.push(Read { at: record.at, digest, command, events: Vec::new() });
        }
        if let Some(step) = batch.last_mut() {
            step.events.push(envelope.event);
        }
    }
    // A step that was cut off by a hole would look like one that decided less.
    if hole.is_some() {
        batch.pop();
    }
    append(&mut log, &batch)?;
    Ok(Imported { last: reader.durable(), hole })
}

/// A step as it was read.
struct Read {
    at: Timestamp,
    digest: Option<u64>,
    command: Option<CommandId>,
    events: Vec<Event>,
}

fn append(log: &mut Log, batch: &[Read]) -> Result<(), AppendError> {
    let steps: Vec<_> = batch
        .iter()
        .map(|read| Step {
            digest: read.digest,
            command: read.command,
            ..Step::new(read.at, &read.events)
        })
        .collect();
    log.append(&steps).map(drop)
}
