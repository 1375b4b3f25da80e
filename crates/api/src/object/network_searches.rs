//! How things stand with searches on the networks.

use async_graphql::{ID, SimpleObject};
use domain::SearchQueue;
use domain::search_queue::QueuedSearch;

use crate::scalar::{Micros, small};

/// Searches on the networks: what runs, what waits for its turn, and what the budget leaves. One budget
/// governs all of them, whatever wants them: servers ban whoever searches more.
#[derive(SimpleObject)]
pub(crate) struct NetworkSearches {
    /// The moment that this is about.
    at: Micros,
    /// Whether the node is logged in; nothing is sent while it is not.
    logged_in: bool,
    /// Searches sent within the window that ends now.
    sent: i32,
    /// Searches that may be sent within it.
    most: i32,
    /// Length of the window in seconds.
    window_seconds: i32,
    /// Searches that may run at the same time.
    running_most: i32,
    /// Those that run, the oldest first.
    running: Vec<NetworkSearch>,
    /// Those that wait, the next first, at most 100.
    waiting: Vec<NetworkSearch>,
    /// How many wait, also those that are not listed.
    waiting_count: i32,
}

/// A search that runs or waits.
#[derive(SimpleObject)]
pub(crate) struct NetworkSearch {
    /// The job it serves.
    job: ID,
    /// The track it looks for, counted from 1; null when it looks for the album.
    track: Option<i32>,
    /// Its words.
    query: String,
    /// Before when it is not sent; those that run may keep it waiting longer. Null when it runs.
    not_before: Option<Micros>,
}

impl From<SearchQueue> for NetworkSearches {
    fn from(queue: SearchQueue) -> Self {
        let listed = |list: Vec<QueuedSearch>| list.into_iter().map(NetworkSearch::from).collect();
        Self {
            at: queue.at.into(),
            logged_in: queue.session,
            sent: small(queue.sent),
            most: small(queue.most),
            window_seconds: small(queue.window_ms / 1000),
            running_most: small(queue.open_most),
            waiting_count: small(queue.waiting.len().saturating_add(queue.unlisted)),
            running: listed(queue.open),
            waiting: listed(queue.waiting),
        }
    }
}

impl From<QueuedSearch> for NetworkSearch {
    fn from(search: QueuedSearch) -> Self {
        Self {
            job: search.job.0.to_string().into(),
            track: search.track.map(|key| i32::from(key.index) + 1),
            query: search.query,
            not_before: search.not_before.map(Micros::from),
        }
    }
}
