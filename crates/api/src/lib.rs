//! GraphQL over a node on this machine: what people and programs may ask it and what it tells them.
//! Commands go out through [`Inbox`] and come back as receipts; everything read comes from the views
//! of crate `projections` and from `eventlog::Reader`, but for [`Questions`] that only the time answers.
//! The engine is never touched.
//!
//! Begin with [`serve`], then [`schema`]. The schema itself is also kept as `schema/schema.graphql`.

mod server;

mod backup;
mod download;
mod error;
mod guard;
mod history;
mod inbox;
mod mutation;
mod object;
mod problem;
mod query;
mod request;
mod scalar;
pub mod schema;
mod socket;
mod state;
mod subscription;

pub use inbox::{AskError, Asked, Inbox, Question, Questions, Receipt, Reused};
pub use schema::sdl;
pub use server::{ServeError, serve};
pub use state::ApiState;
