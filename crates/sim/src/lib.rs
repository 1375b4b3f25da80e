//! A seeded world in virtual time that answers effects with observations: peers that are slow, die,
//! stall, lie, deny or change; services that fail; processes that crash. It has no sockets and no
//! clock, so one seed gives one history.
//!
//! [`run::run`] lets the real engine live in a [`world::World`]; [`check`] holds what must be true of
//! any history, written apart from the code it checks.

pub mod check;
pub mod rng;
pub mod run;
pub mod world;
