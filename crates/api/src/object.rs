//! The GraphQL objects, one per file, made by hand from views and domain values so that neither can
//! change the schema unnoticed.

mod command_refused;
mod duplicate;
mod invalid_reference;
mod job_receipt;
mod release_reference;
mod user_error;

use async_graphql::Union;

pub(crate) use command_refused::CommandRefused;
pub(crate) use duplicate::Duplicate;
pub(crate) use invalid_reference::InvalidReference;
pub(crate) use job_receipt::JobReceipt;
pub(crate) use release_reference::ReleaseReference;
pub(crate) use user_error::{RefusalCode, UserError};

/// What became of a wish for a job.
#[derive(Union)]
pub(crate) enum AddJobResult {
    Receipt(JobReceipt),
    InvalidReference(InvalidReference),
    Duplicate(Duplicate),
}

/// What became of a command to a job.
#[derive(Union)]
pub(crate) enum JobCommandResult {
    Receipt(JobReceipt),
    Refused(CommandRefused),
}

/// What a pasted text names.
#[derive(Union)]
pub(crate) enum Target {
    Release(ReleaseReference),
    Invalid(InvalidReference),
}
