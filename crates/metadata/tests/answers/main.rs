//! The services as seen through real sockets, and the answers they may give. One binary; each file
//! is one subject.

// The lint spares test functions but not what they call.
#![allow(clippy::unwrap_used)]

mod lookup;
mod mutated;
mod read;
mod release;
mod service;
