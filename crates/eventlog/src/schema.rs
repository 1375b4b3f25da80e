//! What each event is on disk: a number for its type, a version of its fields, and the rkyv archive
//! of those fields. Types that this program does not know are kept by whoever copies the log and
//! refused by whoever has to understand them. How an archive is framed is in `frame`.
//!
//! A type's number and the fields of a version never change. When the fields must change, the struct
//! in [`v1`] stays as it is, a new one goes to `v2` with the conversion from the old, and only the
//! newest is written. The archives in `fixtures/events` are read in every test run.

mod v1;

use domain::Event;
use rkyv::rancor;

use crate::damage::Damage;

/// Type and version of a stored event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Schema {
    /// Number of the event's type: 1 to 99 commands, 100 to 199 observations, from 200 on decisions.
    pub kind: u16,
    /// Version of its fields, from 1.
    pub version: u8,
}

impl Schema {
    /// Whether the type is an input's, which begins a step.
    #[must_use]
    pub const fn is_input(self) -> bool {
        self.kind < FIRST_DECISION
    }

    /// The event's name as `Decision::JobAdded`; `None` for a type this program does not know.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        v1::name(self.kind)
    }
}

/// From here on numbers are those of decisions.
const FIRST_DECISION: u16 = 200;

/// Why an event could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The archive could not be built.
    #[error("an event could not be archived")]
    Archive(#[source] rancor::Error),
    /// The event is larger than any frame may be.
    #[error("an event of {0} bytes is larger than a frame may hold")]
    TooLong(usize),
}

/// The stored bytes of an event, without a frame: what replay compares and `events.lock` pins.
///
/// # Errors
/// When the archive cannot be built, which takes more than 2 GiB of event.
pub fn encode(event: &Event) -> Result<(Schema, Vec<u8>), EncodeError> {
    push(event, Vec::new())
}

/// Appends the archive of an event to `out`. Its pointers are relative, so it may begin anywhere.
pub(crate) fn push(event: &Event, out: Vec<u8>) -> Result<(Schema, Vec<u8>), EncodeError> {
    let (kind, out) = v1::write(event, out).map_err(EncodeError::Archive)?;
    Ok((Schema { kind, version: 1 }, out))
}

/// The event that was stored as these bytes, which are validated before they are read.
///
/// # Errors
/// When they are no such event, or when this program does not know the type or the version.
pub fn decode(schema: Schema, payload: &[u8]) -> Result<Event, Damage> {
    let read = match schema.version {
        1 => v1::read(schema.kind, payload),
        _ => None,
    };
    match read {
        Some(event) => event.map_err(|error| Damage::Payload(error.to_string())),
        None => Err(Damage::UnknownEvent { kind: schema.kind, version: schema.version }),
    }
}
