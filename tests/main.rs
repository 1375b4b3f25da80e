//! All integration tests as one binary, so that they link once.

// A test says by failing; clippy sees only functions marked as tests, and helpers are none.
#![allow(clippy::unwrap_used)]

mod album;
mod architecture;
mod binary;
mod cli;
mod interop;
mod laws;
mod log;
