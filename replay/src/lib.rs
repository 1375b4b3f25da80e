//! Looks at a recorded history again: [`mod@verify`] steps its inputs through the engine and compares what
//! is concluded, [`mod@show`] prints it. It reads histories from wherever they come and reaches no network,
//! no clock of the world and no other state: what a history does not hold, a replay does not know.

mod difference;
mod recorded;

pub mod divergence;
pub mod show;
pub mod verify;

pub use engine::VERSION as ENGINE_VERSION;
pub use recorded::Recorded;
pub use show::show;
pub use verify::{verify, verify_engine};
