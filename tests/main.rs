//! All integration tests as one binary, so that they link once.

mod album;
mod architecture;
mod interop;
mod laws;
