//! What all refusals have in common. A client that meets one it does not know can still show it.

use async_graphql::{Enum, Interface};

use crate::object::{ChatRefused, CommandRefused, Duplicate, InvalidReference};

/// Something was refused.
// The lint takes fields of the same type for copies of each other.
#[allow(clippy::duplicated_attributes)]
#[derive(Interface)]
#[graphql(
    field(name = "code", ty = "&RefusalCode", desc = "For programs."),
    field(name = "message", ty = "&String", desc = "For people."),
    field(name = "hint", ty = "&String", desc = "What to do about it.")
)]
pub(crate) enum UserError {
    InvalidReference(InvalidReference),
    Duplicate(Duplicate),
    CommandRefused(CommandRefused),
    ChatRefused(ChatRefused),
}

/// Why something was refused.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalCode {
    /// A text names no release.
    InvalidReference,
    /// The release has a job already.
    Duplicate,
    /// There is no such job.
    UnknownJob,
    /// The job is over.
    JobOver,
    /// The job is neither waiting nor failed.
    NothingToRetry,
    /// We are not logged in to the Soulseek server.
    NotLoggedIn,
    /// No server takes such a message.
    UnsuitableMessage,
}
