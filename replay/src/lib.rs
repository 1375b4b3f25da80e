//! Looks at a recorded history again: [`mod@verify`] steps its inputs through the engine and compares what
//! is concluded, [`mod@show`] prints it; [`timeline`] enters it anywhere, for [`mod@step`],
//! [`summary`], [`mod@changes`] and [`mod@why`] to tell what was known and why. [`shadow`] verifies one that is still growing. [`export`] writes one for
//! somebody else, without the names of people: [`mod@redact`]. It reads histories from wherever they come
//! and reaches no network, no clock of the world and no other state: what a history does not hold, a
//! replay does not know.

mod difference;
mod recorded;

pub mod changes;
pub mod divergence;
pub mod export;
pub mod next;
pub mod redact;
pub mod shadow;
pub mod show;
pub mod step;
pub mod summary;
pub mod timeline;
pub mod verify;
pub mod why;

pub use changes::changes;
pub use engine::VERSION as ENGINE_VERSION;
pub use next::next;
pub use recorded::Recorded;
pub use show::show;
pub use step::step;
pub use verify::{verify, verify_engine};
pub use why::why;
