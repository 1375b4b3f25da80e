//! The event log: an append-only, dense, hash-chained sequence of envelopes on disk. It knows
//! nothing of what events mean; that is `engine` for deciding and `projections` for reading.
//!
//! [`Log`] is the one writer, [`Reader`] a cheap clone that sees only what is durable. How bytes lie
//! is drawn in `schema/log.md` and written by `frame` (an event), `block` (a commit), `journal`,
//! `store` and `sealed` (a volume) and `volumes` (all of them). A stretch of the log as one file is a [`history`].

mod ahead;
mod log;
mod reader;

mod record;
mod schema;
mod streams;

mod active;
mod block;
mod damage;
mod filler;
mod frame;
mod identity;
mod journal;
mod lock;
mod mark;
mod sealed;
mod signal;
mod spare;
mod store;
mod sync;
mod volumes;

pub mod backup;
pub mod history;
pub mod import;
pub mod replace;
pub mod salvage;
pub mod stats;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use damage::Damage;
pub use identity::LogId;
pub use log::{AppendError, Limits, Log, OpenError, Step};
pub use reader::{Events, Picked, ReadError, Reader, Records, Verified};
pub use record::{CommandId, NotACommandId, Record, Stream};
pub use schema::{EncodeError, Schema, decode, encode};
pub use signal::Signal;
