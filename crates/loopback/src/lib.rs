//! Placeholder while the workspace is laid out.

pub mod metadata_server;
