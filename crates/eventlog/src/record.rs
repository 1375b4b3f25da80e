//! One stored event with everything the log says of it. What it means is [`domain::Event`]'s; how it
//! lies in bytes is `frame`'s.

use std::fmt;
use std::str::FromStr;

use domain::id::{parse_uuid, write_uuid};
use domain::{Envelope, Event, JobId, Seq, Timestamp};

use crate::damage::Damage;
use crate::schema::{self, EncodeError, Schema};

/// What an event is about: events of one stream are counted by its revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// The node as a whole.
    Node,
    /// One job.
    Job(JobId),
}

impl Stream {
    /// The stream that an event belongs to.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        event.job().map_or(Self::Node, Self::Job)
    }

    /// The number it is stored as.
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Node => 0,
            Self::Job(JobId(job)) => 1 << 32 | u64::from(job),
        }
    }

    /// The stream with this number; `None` when a newer program made it up.
    pub(crate) fn from_code(code: u64) -> Option<Self> {
        match (code >> 32, u32::try_from(code & 0xffff_ffff)) {
            (0, Ok(0)) => Some(Self::Node),
            (1, Ok(job)) => Some(Self::Job(JobId(job))),
            _ => None,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Job(job) => write!(f, "job/{job}"),
        }
    }
}

/// The caller's own name for a command, so that asking twice is doing once. Written as a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u128);

/// Why a text does not name a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a command ID is a UUID, such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct NotACommandId;

impl FromStr for CommandId {
    type Err = NotACommandId;

    fn from_str(text: &str) -> Result<Self, NotACommandId> {
        parse_uuid(text).map(|id| Self(u128::from_be_bytes(id))).ok_or(NotACommandId)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(&self.0.to_be_bytes(), f)
    }
}

/// One stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its position.
    pub seq: Seq,
    /// When its input entered.
    pub at: Timestamp,
    /// Position of the input that caused it; an input is its own cause.
    pub cause: Seq,
    /// Position of the input that its stream began with.
    pub correlation: Seq,
    /// What it is about.
    pub stream: Stream,
    /// Its place in the stream, from 1.
    pub revision: u64,
    /// Type and version.
    pub schema: Schema,
    /// On an input: the engine's running digest after the step, if it was told.
    pub digest: Option<u64>,
    /// On an input: the caller's name for the command, if it gave one.
    pub command: Option<CommandId>,
    /// The stored fields.
    pub payload: Vec<u8>,
}

impl Record {
    /// Understands the event.
    ///
    /// # Errors
    /// When the payload is no such event, or its type or version is not known.
    pub fn envelope(&self) -> Result<Envelope, Damage> {
        Ok(Envelope {
            seq: self.seq,
            at: self.at,
            cause: self.cause,
            event: schema::decode(self.schema, &self.payload)?,
        })
    }

    /// BLAKE3 of the payload.
    #[must_use]
    pub fn payload_hash(&self) -> [u8; 32] {
        *blake3::hash(&self.payload).as_bytes()
    }

    /// Writes an event down.
    ///
    /// # Errors
    /// When its archive cannot be built.
    pub(crate) fn of(envelope: &Envelope, place: Place) -> Result<Self, EncodeError> {
        let (schema, payload) = schema::encode(&envelope.event)?;
        Ok(Self {
            seq: envelope.seq,
            at: envelope.at,
            cause: envelope.cause,
            correlation: place.correlation,
            stream: place.stream,
            revision: place.revision,
            schema,
            digest: None,
            command: None,
            payload,
        })
    }
}

/// Where an event stands among those of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) stream: Stream,
    pub(crate) revision: u64,
    pub(crate) correlation: Seq,
}
