//! The read models from outside: what they show, and the laws that every one of them obeys.

// The lint knows test functions, but not what they share.
#![allow(clippy::unwrap_used)]

mod chat;
mod follow;
mod history;
mod jobs;
mod kill;
mod laws;
mod letter;
mod model;
mod past;
mod rebuild;
mod search;
mod trace;
