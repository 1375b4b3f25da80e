//! A file that was fetched whole and is not what is wanted.

use async_graphql::SimpleObject;
use projections::jobs;

use crate::scalar::Micros;

/// A whole file that is not what is wanted.
#[derive(SimpleObject)]
pub(crate) struct RefusedFile {
    /// The beginning of its BLAKE3 digest.
    digest: String,
    /// Why.
    reason: String,
    /// Who gave bytes of it.
    peers: Vec<String>,
    /// When.
    at: Micros,
}

impl From<jobs::RefusalView> for RefusedFile {
    fn from(view: jobs::RefusalView) -> Self {
        Self {
            digest: view.digest.to_string(),
            reason: view.reason,
            peers: view.peers.iter().map(ToString::to_string).collect(),
            at: view.at.into(),
        }
    }
}
