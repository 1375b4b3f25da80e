//! A release that has a job already.

use async_graphql::{ID, SimpleObject};
use domain::JobId;
use domain::decision::CommandRefusal;

use crate::object::RefusalCode;

/// The release has a job already.
#[derive(SimpleObject)]
pub(crate) struct Duplicate {
    /// For programs.
    pub(super) code: RefusalCode,
    /// For people.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: String,
    /// The job it has.
    job: ID,
}

impl Duplicate {
    pub(crate) fn new(job: JobId, reason: CommandRefusal) -> Self {
        Self {
            code: RefusalCode::Duplicate,
            message: reason.to_string(),
            hint: format!("look at job {job}; cancel it first to begin anew"),
            job: job.to_string().into(),
        }
    }
}
