//! The daemon: the only place where clock, disk, sockets and settings meet the engine.
//!
//! [`drive`] is the whole loop: drain the inbox, step, append, perform. [`perform`] does what
//! effects ask for and reports back as observations. [`Node`] puts the parts together.

pub mod config;
pub mod views;

mod clock;
mod drive;
mod inbox;
mod node;
mod perform;
mod receipt;
mod recover;
mod session;
mod shadow;
mod shares;
mod staging;

pub use node::{Node, Settings, StartError, StopReason};
pub use recover::RecoverError;
pub use session::Account;
pub use shares::{SharedFolder, Sharing};
pub use soulseek::Manners;
