//! The codec: bytes to typed messages and back, with every limit a hostile sender could test.
//!
//! Pure and without a runtime: nothing here opens a socket or waits. [`crate::conn`] moves frames
//! over sockets. Each connection type has one table of messages; a protocol message is added by
//! adding a row there, and the row is round-trip tested without further work.

pub mod distributed;
pub mod file;
pub mod frame;
mod inflate;
pub mod init;
pub mod obfuscated;
pub mod pack;
pub mod peer;
#[cfg(test)]
mod recorded;
pub mod server;
pub mod share_list;
mod table;

#[cfg(test)]
pub(crate) use inflate::metered;

pub use distributed::DistributedMessage;
pub use frame::{Channel, FrameError};
pub use init::{ConnectionKind, PeerInit};
pub use pack::DecodeError;
pub use peer::PeerMessage;
pub use server::{ServerMessage, ServerRequest};
