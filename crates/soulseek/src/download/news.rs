//! What a request for a file can come to, inside and outside. Who asks is [`super::Download`].

use crate::connect::ConnectError;
use crate::peers::Link;
use crate::wire::PeerMessage;
use crate::wire::peer::{Verdict, reason};

/// What became of a request so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadEvent {
    /// The request reached the other side.
    Queued,
    /// The place in the other side's queue; 1 is next.
    Place(u32),
    /// It is our turn: call [`accept`](super::Download::accept) within seconds, or
    /// [`refuse`](super::Download::refuse).
    Granted {
        /// Bytes. This is what will be sent, whatever the search answer said.
        size: u64,
    },
    /// Nothing more will come of this request.
    Ended(DownloadEnd),
}

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownloadEnd {
    /// The other side will not send the file (message 50), in its own words.
    #[error("denied: {0}")]
    Denied(String),
    /// The other side is about to leave the network, and says so (message 50).
    #[error("user is about to leave")]
    PeerLeaving,
    /// The transfer broke off at the other side (message 46), and so did the one after it.
    #[error("upload failed at the other side")]
    UploadFailed,
    /// The user is not logged in.
    #[error("user is offline")]
    PeerOffline,
    /// Neither side can reach the other.
    #[error("cannot connect to the user")]
    CannotConnect,
    /// Our own session is over.
    #[error("session ended")]
    SessionEnded,
}

/// Why bytes did not come, or stopped coming.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// [`accept`](super::Download::accept) was called when nothing was granted.
    #[error("nothing was granted")]
    NotGranted,
    /// The request ended before the first byte.
    #[error(transparent)]
    Ended(#[from] DownloadEnd),
    /// The file is offered with another size than the one accepted, so the offer was refused.
    #[error("the file has {size} bytes now")]
    SizeChanged {
        /// Bytes offered last.
        size: u64,
    },
    /// The offset leaves nothing to send, so the offer was refused.
    #[error("offset {offset} leaves nothing of {size} bytes")]
    NothingLeft {
        /// What was asked for.
        offset: u64,
        /// What the file has.
        size: u64,
    },
    /// The other side went silent.
    #[error("{what} did not come in time")]
    TimedOut {
        /// What was being waited for.
        what: &'static str,
        /// Bytes received on this connection.
        received: u64,
    },
    /// The connection ended before the file did.
    #[error("connection cut after {received} bytes")]
    ConnectionCut {
        /// Bytes received on this connection, counted from the offset.
        received: u64,
    },
    /// The other side sent more than the file has. What was promised has been handed out.
    #[error("more bytes than promised")]
    Surplus,
}

/// What the other side, or the way there, lets a request know.
#[derive(Debug)]
pub(super) enum News {
    Sent,
    Unsent(ConnectError),
    Place(u32),
    Offered(Offer),
    Failed,
    Denied(String),
    Offline,
}

/// Message 40 as it came.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) token: u32,
    pub(super) size: u64,
    /// The connection the offer came on; the answer goes back on it.
    pub(super) link: Link,
}

impl News {
    pub(super) fn into_end(self) -> DownloadEnd {
        match self {
            News::Unsent(ConnectError::Offline) | News::Offline => DownloadEnd::PeerOffline,
            News::Unsent(ConnectError::Unreachable) => DownloadEnd::CannotConnect,
            News::Unsent(ConnectError::SessionEnded) => DownloadEnd::SessionEnded,
            News::Denied(reason) if says(&reason, reason::PENDING_SHUTDOWN) => {
                DownloadEnd::PeerLeaving
            }
            News::Denied(reason) => DownloadEnd::Denied(reason),
            News::Failed | News::Sent | News::Place(_) | News::Offered(_) => {
                DownloadEnd::UploadFailed
            }
        }
    }
}

/// Whether a denial (message 50) only means that more may not wait at the moment. SOULSEEK.md 2.4.
pub(super) fn is_full_queue(denial: &str) -> bool {
    // An old client counts along: `User limit of 500 files exceeded`.
    says(denial, reason::TOO_MANY_FILES)
        || says(denial, reason::TOO_MANY_MEGABYTES)
        || denial.starts_with("User limit of")
}

/// Whether a denial is this one, with or without its full stop.
pub(super) fn says(denial: &str, reason: &str) -> bool {
    denial.trim_end_matches('.').eq_ignore_ascii_case(reason.trim_end_matches('.'))
}

pub(super) fn cancelled() -> Verdict {
    Verdict::Declined { reason: reason::CANCELLED.to_owned() }
}

pub(super) fn decline(token: u32) -> PeerMessage {
    PeerMessage::TransferResponse { token, verdict: cancelled() }
}
