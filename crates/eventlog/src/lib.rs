//! The event log: an append-only, dense, hash-chained sequence of envelopes on disk. It knows
//! nothing of what events mean; that is `engine` for deciding and `projections` for reading.
//!
//! [`Log`] is the one writer, [`Reader`] a cheap clone that sees only what is durable. How bytes lie
//! is drawn in `schema/log.md` and written by the modules `frame`, `block` and `store`. A stretch of
//! the log as one file is a [`history`].

mod log;
mod mark;
mod reader;

mod block;
mod damage;
mod frame;
mod identity;
mod signal;
mod store;

pub mod history;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use damage::Damage;
pub use frame::{EncodeError, encode};
pub use identity::LogId;
pub use log::{AppendError, Log, OpenError, Step};
pub use reader::{Events, Picked, ReadError, Reader, Verified};
pub use signal::Signal;
