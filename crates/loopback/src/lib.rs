//! The outside world on loopback: what the demo and the tests talk to instead of public services.
//! Real sockets, real encodings, music synthesised by us; nothing in here is part of the node.

pub mod world;

pub mod album;
pub mod discs;
pub mod metadata_server;
pub mod music;
pub mod peer;
pub mod soulseek_server;
