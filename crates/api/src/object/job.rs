//! A job with everything.

use async_graphql::SimpleObject;
use projections::jobs;

use crate::object::{JobSummary, Track};
use crate::scalar::Seq;

/// A job with its tracks.
#[derive(SimpleObject)]
pub(crate) struct Job {
    /// Position of the last event that is taken into account here.
    as_of: Seq,
    #[graphql(flatten)]
    summary: JobSummary,
    /// Its tracks over all media, in order; empty until they are known.
    tracks: Vec<Track>,
}

impl Job {
    pub(crate) fn new(as_of: domain::Seq, view: jobs::JobView) -> Self {
        Self {
            as_of: as_of.into(),
            summary: view.head.into(),
            tracks: view.tracks.into_iter().map(Track::from).collect(),
        }
    }
}
