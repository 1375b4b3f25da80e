//! The vocabulary of Reprise: what can be asked, seen, concluded and done, and the nouns these are
//! about. Plain data and pure functions; no clock, socket, disk or randomness lives here.
//!
//! Read [`event`] first, then the four closed enums it is made of: [`command`], [`observation`],
//! [`decision`], [`effect`]. How they follow from each other is decided in crate `engine`.

#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]
// rkyv's derive writes undocumented mirror types of every enum with named fields.
#![allow(missing_docs)]

pub mod chat;
pub mod chunk;
pub mod command;
pub mod decision;
pub mod effect;
pub mod event;
pub mod id;
pub mod library_path;
pub mod media;
pub mod observation;
pub mod policy;
pub mod ranges;
pub mod reference;
pub mod render;
pub mod score;
pub mod search_queue;
pub mod target;
pub mod time;

pub use chunk::ByteRange;
pub use command::Command;
pub use decision::Decision;
pub use effect::Effect;
pub use event::{Envelope, Event, Input, Seq};
pub use id::{AssignmentId, JobId, PeerId, RecordingId, ReleaseId, SearchId, SourceId, TrackKey};
pub use observation::Observation;
pub use policy::Policy;
pub use ranges::RangeSet;
pub use search_queue::SearchQueue;
pub use target::{Target, Track};
pub use time::Timestamp;
