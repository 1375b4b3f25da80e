//! The services as seen through real sockets, and the answers they may give. One binary; each file
//! is one subject.

mod lookup;
mod mutated;
mod read;
mod release;
mod service;
