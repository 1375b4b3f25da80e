//! What people ask. A command may be refused; the refusal is a decision and is recorded too.

use rkyv::{Archive, Deserialize, Serialize};

use crate::event::Seq;
use crate::id::{JobId, ReleaseId};

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
}
