//! A seeded world in virtual time that answers effects with observations: peers that are slow, die,
//! stall, lie, deny or change; services that fail; processes that crash. It has no sockets and no
//! clock, and what goes wrong is a list, so one seed and its faults give one history.
//!
//! [`run::run`] lets the real engine live in a [`world::World`] through its [`fault::Fault`]s;
//! [`check`] holds what must be true of any history, written apart from the code it checks;
//! [`shrink`] finds the few faults that a broken law needs. [`fork`] goes on from any position of a recorded
//! history, with something changed, in a world that was fitted to it.

pub mod check;
pub mod crowd;
pub mod fault;
pub mod fork;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod world;

mod agenda;
mod clock;
mod fitted;
