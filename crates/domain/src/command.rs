//! What people ask. A command may be refused; the refusal is a decision and is recorded too.

use rkyv::{Archive, Deserialize, Serialize};

use crate::event::Seq;
use crate::id::{JobId, PeerId, ReleaseId};

/// Something a person asks the node to do.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Complete this release.
    AddJob {
        /// The edition wanted.
        release: ReleaseId,
    },
    /// Stop a job; what it has published stays.
    CancelJob {
        /// The job.
        job: JobId,
    },
    /// Try again at once whatever a job waits for or failed at.
    RetryJob {
        /// The job.
        job: JobId,
    },
    /// Leave it at that a view went on without an event.
    SkipDeadLetter {
        /// The view's name.
        view: String,
        /// The event's position.
        event: Seq,
    },
    /// Say something to somebody.
    SendChat {
        /// To whom.
        peer: PeerId,
        /// What; see [`crate::chat`].
        text: String,
    },
    /// Whatever somebody said up to an event was read.
    MarkChatRead {
        /// Who said it.
        peer: PeerId,
        /// The event's position.
        through: Seq,
    },
}
