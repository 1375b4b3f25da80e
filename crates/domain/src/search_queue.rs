//! How things stand with searches: what runs, what waits for its turn, and what the budget leaves. An
//! answer to a question, no event: nothing is decided by it, and it is not recorded.

use crate::{JobId, Timestamp, TrackKey};

/// The searches of a node at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQueue {
    /// The moment.
    pub at: Timestamp,
    /// Whether we are logged in; nothing is sent while we are not.
    pub session: bool,
    /// Searches sent within the window that ends now.
    pub sent: usize,
    /// Searches that may be sent within it.
    pub most: u32,
    /// Its length in milliseconds.
    pub window_ms: u64,
    /// Searches that may collect answers at the same time.
    pub open_most: u32,
    /// Those that do, the oldest first.
    pub open: Vec<QueuedSearch>,
    /// Those that wait, the next first; at most [`SearchQueue::LISTED`].
    pub waiting: Vec<QueuedSearch>,
    /// How many more wait.
    pub unlisted: usize,
}

impl SearchQueue {
    /// Waiting searches that are listed at most.
    pub const LISTED: usize = 100;
}

/// A search that runs or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedSearch {
    /// The job it serves.
    pub job: JobId,
    /// The track it looks for; `None` when it looks for the album.
    pub track: Option<TrackKey>,
    /// Its words.
    pub query: String,
    /// Before when it is not sent; those that run may keep it waiting longer. `None` when it runs.
    pub not_before: Option<Timestamp>,
}
