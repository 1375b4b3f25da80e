//! One transfer: while it is under way in a history, and as the sample it leaves.

use domain::observation::TransferFault;
use domain::{PeerId, Timestamp};

use super::model::FileId;

/// One transfer as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    /// From the request to the first byte, or to the end where none came, in milliseconds.
    pub(super) wait_ms: u64,
    /// Bytes per second, if any came.
    pub(super) rate: Option<u64>,
    pub(super) end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing speaks against the last byte.
    Whole,
    /// It failed after so many bytes.
    Failed(u64, TransferFault),
    /// Nothing more came after so many bytes.
    Silent(u64),
}

/// A transfer under way.
pub(super) struct Under {
    pub(super) file: FileId,
    pub(super) peer: PeerId,
    pub(super) since: Timestamp,
    pub(super) size: u64,
    pub(super) was_busy: bool,
    pub(super) started: Option<Timestamp>,
    pub(super) bytes: u64,
    pub(super) busy_ms: u64,
}

impl Under {
    pub(super) fn went(&self, end: End, at: Timestamp) -> Transfer {
        let first = self.started.unwrap_or(at);
        let rate = (self.bytes > 0)
            .then(|| (self.bytes.saturating_mul(1000) / self.busy_ms.max(1)).max(1));
        Transfer { wait_ms: first.ms_since(self.since), rate, end }
    }
}
