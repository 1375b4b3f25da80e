//! A command to a job that was not followed.

use async_graphql::{ID, SimpleObject};
use domain::JobId;
use domain::decision::CommandRefusal;

use crate::object::RefusalCode;

/// The command was not followed.
#[derive(SimpleObject)]
pub(crate) struct CommandRefused {
    /// For programs.
    pub(super) code: RefusalCode,
    /// For people.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: String,
    /// The job it is about.
    job: ID,
}

impl CommandRefused {
    pub(crate) fn new(job: JobId, reason: CommandRefusal) -> Self {
        let (code, hint) = match reason {
            CommandRefusal::Duplicate(_) => (RefusalCode::Duplicate, "look at the job it has"),
            CommandRefusal::UnknownJob(_) => (RefusalCode::UnknownJob, "list the jobs there are"),
            CommandRefusal::JobOver(_) => {
                (RefusalCode::JobOver, "add its release again to begin anew")
            }
            CommandRefusal::NotLoggedIn => {
                (RefusalCode::NotLoggedIn, "look at the node's status, which says why")
            }
            CommandRefusal::NothingToRetry(_) => {
                (RefusalCode::NothingToRetry, "it is at work; look at its progress")
            }
        };
        let (message, job) = (reason.to_string(), job.to_string().into());
        Self { code, message, hint: hint.into(), job }
    }
}
