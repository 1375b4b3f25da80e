//! Asks MusicBrainz what a release consists of and AcoustID what a fingerprint is. One call is one
//! attempt: whether and when to ask again is decided in crate `engine`, which is told every fault as
//! news. What may be found is named in `domain::target`, why nothing was found in
//! `domain::observation::LookupFault`.

pub mod acoustid;
mod http;
pub mod musicbrainz;
pub mod throttle;

pub use acoustid::AcoustId;
pub use http::{SetupError, check_address};
pub use musicbrainz::MusicBrainz;
pub use throttle::Throttle;
