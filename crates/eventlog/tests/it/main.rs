//! The event log from outside: what it promises to its writer and its readers.

// The lint knows test functions, but not what they share.
#![allow(clippy::unwrap_used)]

mod append;
mod backup;
mod damage;
mod disk;
mod encoding;
mod faults;
mod history;
mod model;
mod power;
mod salvage;
mod samples;
mod signal;
mod space;
mod streams;
mod volumes;
