//! The API as it is met through real sockets. One binary; each file is one subject.

// The lint spares test functions but not what they call.
#![allow(clippy::unwrap_used)]

mod chat;
mod follow;
mod foreign;
mod graphql;
mod node;
mod projections;
mod schema;
mod search;
mod socket;
mod views;
