//! The GraphQL objects, one per file, made by hand from views and domain values so that neither can
//! change the schema unnoticed.

mod job;
mod job_summary;
mod track;

mod refused_file;
mod search_hit;
mod source;

mod chat;
mod event;
mod network_searches;
mod node_status;
mod projection;
mod shadow_replay;

mod command_refused;
mod duplicate;
mod invalid_reference;
mod job_receipt;
mod release_reference;
mod user_error;

use async_graphql::{SimpleObject, Union};

use crate::scalar::Seq;

pub(crate) use chat::{Chat, ChatMessage, ChatReceipt, ChatRefused};
pub(crate) use command_refused::CommandRefused;
pub(crate) use duplicate::Duplicate;
pub(crate) use event::Event;
pub(crate) use invalid_reference::InvalidReference;
pub(crate) use job::Job;
pub(crate) use job_receipt::JobReceipt;
pub(crate) use job_summary::{JobState, JobSummary};
pub(crate) use network_searches::NetworkSearches;
pub(crate) use node_status::NodeStatus;
pub(crate) use projection::{DeadLetter, Projection};
pub(crate) use refused_file::RefusedFile;
pub(crate) use release_reference::ReleaseReference;
pub(crate) use search_hit::{SearchHit, SearchKind, SearchPosition};
pub(crate) use source::{Source, SourceState};
pub(crate) use track::{Track, TrackState};
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

/// What became of something to say.
#[derive(Union)]
pub(crate) enum SendChatResult {
    Receipt(ChatReceipt),
    Refused(ChatRefused),
}

/// What a pasted text names.
#[derive(Union)]
pub(crate) enum Target {
    Release(ReleaseReference),
    Invalid(InvalidReference),
}

/// Up to where a list reaches.
#[derive(SimpleObject)]
pub(crate) struct ListPosition {
    /// Position of the last event that is taken into account here.
    pub(crate) as_of: Seq,
}
