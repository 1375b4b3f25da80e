//! The receipt for a command that was followed.

use async_graphql::{ID, SimpleObject};
use domain::JobId;

use crate::scalar::Seq;

/// A command was followed.
#[derive(SimpleObject)]
pub(crate) struct JobReceipt {
    /// Position of the last event it caused. What is read as of this position shows it.
    seq: Seq,
    /// The job it is about.
    job: ID,
}

impl JobReceipt {
    pub(crate) fn new(seq: domain::Seq, job: JobId) -> Self {
        Self { seq: seq.into(), job: job.to_string().into() }
    }
}
