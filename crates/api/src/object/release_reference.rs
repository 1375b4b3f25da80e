//! A release as a pasted text names it, before anybody was asked about it.

use async_graphql::SimpleObject;
use domain::ReleaseId;

/// A MusicBrainz release.
#[derive(SimpleObject)]
pub(crate) struct ReleaseReference {
    /// Its MusicBrainz ID.
    mbid: String,
    /// Its page.
    url: String,
}

impl ReleaseReference {
    pub(crate) fn new(release: ReleaseId) -> Self {
        Self {
            mbid: release.to_string(),
            url: format!("https://musicbrainz.org/release/{release}"),
        }
    }
}
