//! What can be read. Everything comes from views, which say up to which event they reach; nothing is
//! decided here.

use async_graphql::Object;

use crate::object::{InvalidReference, ReleaseReference, Target};

/// What can be read.
pub(crate) struct Query;

/// What can be read.
#[Object]
impl Query {
    /// Reads a pasted text as the release it names. Asks nobody, so the release need not exist.
    async fn resolve_target(&self, text: String) -> Target {
        match domain::reference::parse_release(&text) {
            Ok(release) => Target::Release(ReleaseReference::new(release)),
            Err(error) => Target::Invalid(InvalidReference::new(&error)),
        }
    }
}
