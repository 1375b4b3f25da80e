//! What we know of peers: what they offered, what they gave, how they failed. Local only; nothing of
//! it is ever told to anybody.

use domain::id::Transport;
use domain::observation::TransferFault;
use domain::{AssignmentId, ByteRange, JobId, PeerId, Timestamp, TrackKey};

use crate::state::{Peer, State};

/// Bytes after which a peer's own record counts more than what the network says of it.
const TRUSTED_AFTER_BYTES: u64 = 256 * 1024;
/// Speeds outside these, in bytes per second, are taken for these.
const SLOWEST: u64 = 10_000;
const FASTEST: u64 = 50_000_000;
/// Taken for a peer of which nothing is known, in bytes per second.
const UNKNOWN: u64 = 50_000;
/// One upload in a peer's queue is taken to last this long, in milliseconds.
const QUEUE_STEP_MS: u64 = 30_000;
/// First rest of a peer whose connection broke or whose upload failed midway, in milliseconds: it is there,
/// and clients ask again at once, so that their place in its queue is not lost.
const BROKEN_REST_MS: u64 = 3_000;
/// First rest of a node of the mesh, which keeps no queue and loses no slot when it is dialled again, in
/// milliseconds; doubles up to [`MESH_REST_MOST_MS`].
const MESH_REST_MS: u64 = 1_000;
/// Longest rest of a node of the mesh, in milliseconds.
const MESH_REST_MOST_MS: u64 = 60_000;
/// Longest queue that is told apart.
const QUEUE_MOST: u32 = 200;

/// When a peer that fails now may be asked again.
pub(crate) fn rest(
    state: &State,
    peer: &PeerId,
    fault: &TransferFault,
    at: Timestamp,
) -> Timestamp {
    let policy = &state.run.policy;
    let is_broken = matches!(fault, TransferFault::ConnectionCut | TransferFault::UploadFailed);
    let (first, most) = match peer.transport() {
        Transport::Ranges => (MESH_REST_MS, MESH_REST_MOST_MS),
        Transport::Stream if is_broken => {
            (policy.peer_rest_ms.min(BROKEN_REST_MS), policy.peer_rest_most_ms)
        }
        Transport::Stream => (policy.peer_rest_ms, policy.peer_rest_most_ms),
    };
    let in_a_row = state.peers.get(peer).map_or(0, |peer| peer.failed_in_a_row);
    let rest = first.saturating_mul(1 << in_a_row.min(16)).min(most);
    at.plus_ms(rest)
}

/// What the expected time until the last of `remaining` bytes has come is made of: the design's
/// cost(peer), with its terms in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Bytes a second it is expected to give.
    pub rate: u64,
    /// How the rate is known.
    pub known: Known,
    /// Wait in its queue, in milliseconds.
    pub wait_ms: u64,
    /// Bytes it is asked for already and has not given.
    pub backlog: u64,
    /// Bytes wanted of it.
    pub remaining: u64,
    /// Files it gave to the last byte.
    pub completed: u32,
    /// Its failures.
    pub failed: u32,
}

/// How a peer's rate is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// From what it gave us.
    Measured,
    /// From what the network says of it.
    Told,
    /// Nothing is known.
    Assumed,
}

impl Cost {
    pub(crate) fn of(peer: &Peer, backlog: u64, remaining: u64) -> Self {
        let (rate, known) = if peer.bytes >= TRUSTED_AFTER_BYTES {
            (peer.bytes.saturating_mul(1000) / peer.busy_ms.max(1), Known::Measured)
        } else if peer.advertised_bytes_per_s > 0 {
            (u64::from(peer.advertised_bytes_per_s), Known::Told)
        } else {
            (UNKNOWN, Known::Assumed)
        };
        let wait_ms = if backlog > 0 || peer.slot_free {
            0
        } else {
            u64::from(peer.queue_length.clamp(1, QUEUE_MOST)) * QUEUE_STEP_MS
        };
        Self {
            rate: rate.clamp(SLOWEST, FASTEST),
            known,
            wait_ms,
            backlog,
            remaining,
            completed: peer.completed,
            failed: peer.failed,
        }
    }

    /// Seconds per byte times bytes, divided by the chance of success, after the wait in the queue; in
    /// milliseconds.
    #[must_use]
    pub fn ms(&self) -> u64 {
        let ms = self.backlog.saturating_add(self.remaining).saturating_mul(1000) / self.rate;
        let (completed, failed) = (u64::from(self.completed), u64::from(self.failed));
        self.wait_ms.saturating_add(ms.saturating_mul(completed + failed + 1) / (completed + 1))
    }
}

/// It told its speed and its queue with an answer to a search.
pub(crate) fn advertised(
    state: &mut State,
    peer: &PeerId,
    slot_free: bool,
    speed_bytes_per_s: u32,
    queue_length: u32,
) {
    let peer = state.peers.entry(peer.clone()).or_default();
    peer.advertised_bytes_per_s = speed_bytes_per_s;
    peer.slot_free = slot_free;
    peer.queue_length = queue_length;
}

/// It gave bytes. Used or not, they show how fast it is.
pub(crate) fn credited(
    state: &mut State,
    assignment: AssignmentId,
    range: ByteRange,
    elapsed_ms: u64,
) {
    if let Some(open) = state.transfers.open.get(&assignment) {
        let peer = state.peers.entry(open.peer.clone()).or_default();
        peer.bytes = peer.bytes.saturating_add(range.len());
        peer.busy_ms = peer.busy_ms.saturating_add(elapsed_ms);
        peer.failed_in_a_row = 0;
    }
}

/// It gave the last byte of a file: read from the assignment, which must still be open.
pub(crate) fn completed(state: &mut State, track: TrackKey) {
    let giver = state.transfers.open.values().find(|open| open.track == track);
    if let Some(peer) = giver.map(|open| open.peer.clone()) {
        state.peers.entry(peer).or_default().completed += 1;
    }
}

/// The rest of every peer that offers something for a job is over.
pub(crate) fn recalled(state: &mut State, job: JobId, at: Timestamp) {
    let sources = state.jobs.get(&job).into_iter().flat_map(|job| &job.tracks);
    for source in sources.flat_map(|track| &track.sources) {
        if let Some(peer) = state.peers.get_mut(&source.peer) {
            peer.rest_until = peer.rest_until.min(at);
        }
    }
}

pub(crate) fn rested(state: &mut State, peer: &PeerId, until: Timestamp, at: Timestamp) {
    let peer = state.peers.entry(peer.clone()).or_default();
    peer.failed = peer.failed.saturating_add(1);
    peer.failed_in_a_row = peer.failed_in_a_row.saturating_add(1);
    peer.rest_until = until.max(at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_gave_counts_more_than_what_is_said_of_it() {
        let told = Peer { advertised_bytes_per_s: 300_000, slot_free: true, ..Peer::default() };
        let proved = Peer { bytes: TRUSTED_AFTER_BYTES, busy_ms: 2_000, ..told.clone() };
        let cost = |peer: &Peer| {
            let cost = Cost::of(peer, 0, 600_000);
            (cost.known, cost.rate, cost.ms())
        };
        assert_eq!(cost(&told), (Known::Told, 300_000, 2_000));
        assert_eq!(cost(&proved), (Known::Measured, 131_072, 4_577));
        let unknown = Peer { slot_free: true, ..Peer::default() };
        assert_eq!(cost(&unknown), (Known::Assumed, UNKNOWN, 12_000));
    }

    #[test]
    fn failures_a_queue_and_a_backlog_make_a_peer_dearer() {
        let peer = Peer { advertised_bytes_per_s: 100_000, slot_free: true, ..Peer::default() };
        assert_eq!(Cost::of(&peer, 0, 100_000).ms(), 1_000);
        assert_eq!(Cost::of(&peer, 50_000, 100_000).ms(), 1_500);
        let failing = Peer { completed: 1, failed: 2, ..peer.clone() };
        assert_eq!(Cost::of(&failing, 0, 100_000).ms(), 2_000);
        let queued = Peer { slot_free: false, queue_length: 3, ..peer };
        assert_eq!(Cost::of(&queued, 0, 100_000).ms(), 3 * QUEUE_STEP_MS + 1_000);
    }
}
