//! Read models: what the API and the command line show. Each is folded from the log and nothing
//! else, can be thrown away at any time, and never writes an event.
//!
//! [`projection`] says what a read model is, [`follow`] keeps one up to date and folds it anew beside
//! the rows that answer, [`table`] is how they are stored, [`letter`] what they went on without.
//! [`jobs`] holds the jobs as people see them, [`trace`] what happened in each, [`chat`] what was said; [`past`] shows jobs as they
//! were.

pub mod chat;
pub mod follow;
pub mod jobs;
pub mod letter;
pub mod past;
pub mod projection;
pub mod search;
pub mod table;
pub mod trace;

#[cfg(fuzzing)]
pub mod fuzzing;

mod draft;
mod foreign;
mod generation;
mod refold;
mod rows;
mod status;

pub use follow::{Control, Follower};
pub use letter::{DeadLetter, Letters};
pub use projection::{ApplyError, Checkpoint, Projection};
pub use rows::{Rows, Standing};
pub use status::{State, Status};
pub use table::{AsOf, Store};
