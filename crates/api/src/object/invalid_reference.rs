//! A pasted text that names no release.

use async_graphql::SimpleObject;
use domain::reference::ReferenceError;

use crate::object::RefusalCode;

/// The text names no release.
#[derive(SimpleObject)]
pub(crate) struct InvalidReference {
    /// For programs.
    pub(super) code: RefusalCode,
    /// For people.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: String,
}

impl InvalidReference {
    pub(crate) fn new(error: &ReferenceError) -> Self {
        let hint = match error {
            ReferenceError::Empty | ReferenceError::NotAReference { .. } => {
                "open the album at musicbrainz.org and paste the address of one of its releases"
            }
            ReferenceError::OtherKind { .. } => "pick the edition you want and paste its address",
            ReferenceError::OtherSite { .. } => "look the album up at musicbrainz.org",
        };
        let code = RefusalCode::InvalidReference;
        Self { code, message: error.to_string(), hint: hint.into() }
    }
}
