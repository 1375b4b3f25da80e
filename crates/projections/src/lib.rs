//! Read models: what the API and the command line show. Each is folded from the log and nothing
//! else, can be thrown away at any time, and never writes an event.
//!
//! [`projection`] says what a read model is, [`follow`] keeps one up to date, [`table`] is how they
//! are stored. [`jobs`] holds the jobs as people see them, [`trace`] what happened in each.

pub mod follow;
pub mod jobs;
pub mod projection;
pub mod table;
pub mod trace;

mod foreign;

pub use follow::Follower;
pub use projection::{ApplyError, Checkpoint, Projection};
pub use table::{AsOf, Store};
