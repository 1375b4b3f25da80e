//! All integration tests as one binary, so that they link once.

// Clippy takes what helps several tests for product code.
#![allow(clippy::unwrap_used)]

mod album;
mod architecture;
mod interop;
mod laws;
