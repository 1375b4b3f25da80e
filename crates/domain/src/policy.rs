//! Every limit and threshold that decisions rest on, with its unit. A run records the policy it
//! decides by in `NodeStarted`, so a replay needs no configuration.

use rkyv::{Archive, Deserialize, Serialize};

use crate::score::Ppm;

/// The limits and thresholds of one run.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Searches that may be sent within [`Self::search_window_ms`]; more earns a ban of 30 minutes.
    pub searches_per_window: u32,
    /// Length of the sliding window that searches are counted in, in milliseconds.
    pub search_window_ms: u64,
    /// Searches that may be open at once.
    pub searches_in_flight: u32,
    /// How long a search collects answers, in milliseconds.
    pub search_open_ms: u64,
    /// How long answers are gathered before the first source of a track is chosen, in milliseconds:
    /// the first to answer is seldom the best.
    pub gather_ms: u64,
    /// Wait before a track without any source is searched for again, in milliseconds; doubles with
    /// each search in vain, up to [`Self::search_repeat_most_ms`].
    pub search_repeat_ms: u64,
    /// Longest wait between two searches for one track, in milliseconds.
    pub search_repeat_most_ms: u64,
    /// The same query is not sent again within this time, whoever asks for it, in milliseconds.
    pub search_again_least_ms: u64,
    /// Usable sources remembered for one track.
    pub sources_per_track: u32,
    /// Larger files are not taken for tracks, in bytes.
    pub largest_file_bytes: u64,
    /// Assignments open at once, over all peers.
    pub transfers: u32,
    /// Assignments open at once with one peer: one runs, the next stands in its queue.
    pub transfers_per_peer: u32,
    /// A running transfer without a byte for this long is taken from its peer, in milliseconds.
    pub stall_after_ms: u64,
    /// A queued transfer is moved to another source after this long, in milliseconds.
    pub queue_wait_ms: u64,
    /// First rest of a peer after a failure, in milliseconds; doubles up to
    /// [`Self::peer_rest_most_ms`].
    pub peer_rest_ms: u64,
    /// Longest rest of a peer, in milliseconds.
    pub peer_rest_most_ms: u64,
    /// Failures after which a source is given up.
    pub source_failures: u32,
    /// First wait after a failed metadata lookup, in milliseconds; doubles up to
    /// [`Self::lookup_retry_most_ms`].
    pub lookup_retry_ms: u64,
    /// Longest wait between two lookups of one thing, in milliseconds.
    pub lookup_retry_most_ms: u64,
    /// How long a job pauses at first when the disk refuses, in milliseconds; doubles up to
    /// [`Self::disk_retry_most_ms`] until a track is completed.
    pub disk_retry_ms: u64,
    /// Longest pause of a job for the disk, in milliseconds.
    pub disk_retry_most_ms: u64,
    /// Largest difference between a file's length and the track's, in milliseconds.
    pub duration_tolerance_ms: u64,
    /// Lowest AcoustID score that proves a recording.
    pub identity_least: Ppm,
}

impl Default for Policy {
    /// What a home server on the public network should do.
    fn default() -> Self {
        Self {
            // A working budget of clients that are not banned; two at a time.
            searches_per_window: 34,
            search_window_ms: 220_000,
            searches_in_flight: 2,
            search_open_ms: 12_000,
            gather_ms: 2_000,
            search_repeat_ms: 600_000,
            search_repeat_most_ms: 6 * 3_600_000,
            search_again_least_ms: 120_000,
            sources_per_track: 64,
            largest_file_bytes: 4 << 30,
            transfers: 100,
            transfers_per_peer: 2,
            // Design: rescue mode, triggers 1 and 3.
            stall_after_ms: 120_000,
            queue_wait_ms: 1_800_000,
            // Clients ask again at once when a connection breaks.
            peer_rest_ms: 3_000,
            peer_rest_most_ms: 1_800_000,
            source_failures: 5,
            lookup_retry_ms: 2_000,
            lookup_retry_most_ms: 60_000,
            disk_retry_ms: 60_000,
            disk_retry_most_ms: 1_800_000,
            // Design: section 1.1, fuzzy matching.
            duration_tolerance_ms: 3_000,
            identity_least: Ppm(500_000),
        }
    }
}
