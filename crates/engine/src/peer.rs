//! What we know of peers: what they offered, what they gave, how they failed. Local only; nothing of
//! it is ever told to anybody.

use domain::decision::ResumedBy;
use domain::observation::Observation;
use domain::{Decision, Event, Input, PeerId, Timestamp};

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
/// Longest queue that is told apart.
const QUEUE_MOST: u32 = 200;

/// When a peer that fails now may be asked again.
pub(crate) fn rest(state: &State, peer: &PeerId, at: Timestamp) -> Timestamp {
    let policy = &state.run.policy;
    let in_a_row = state.peers.get(peer).map_or(0, |peer| peer.failed_in_a_row);
    let rest =
        policy.peer_rest_ms.saturating_mul(1 << in_a_row.min(16)).min(policy.peer_rest_most_ms);
    at.plus_ms(rest)
}

/// Expected time until the last of `remaining` bytes has come from a peer that is already asked for
/// `backlog` bytes, in milliseconds: the design's cost(peer), with its terms in one unit. Seconds per
/// byte times bytes, divided by the chance of success, after the wait in the queue.
pub(crate) fn cost_ms(peer: &Peer, backlog: u64, remaining: u64) -> u64 {
    let rate = if peer.bytes >= TRUSTED_AFTER_BYTES {
        peer.bytes.saturating_mul(1000) / peer.busy_ms.max(1)
    } else if peer.advertised_bytes_per_s > 0 {
        u64::from(peer.advertised_bytes_per_s)
    } else {
        UNKNOWN
    };
    let rate = rate.clamp(SLOWEST, FASTEST);
    let wait = if backlog > 0 || peer.slot_free {
        0
    } else {
        u64::from(peer.queue_length.clamp(1, QUEUE_MOST)) * QUEUE_STEP_MS
    };
    let ms = backlog.saturating_add(remaining).saturating_mul(1000) / rate;
    let (completed, failed) = (u64::from(peer.completed), u64::from(peer.failed));
    wait.saturating_add(ms.saturating_mul(completed + failed + 1) / (completed + 1))
}

pub(crate) fn evolve(state: &mut State, event: &Event, at: Timestamp) {
    match event {
        Event::Input(Input::Observation(Observation::SearchAnswered {
            peer,
            slot_free,
            speed_bytes_per_s,
            queue_length,
            ..
        })) => {
            let peer = state.peers.entry(peer.clone()).or_default();
            peer.advertised_bytes_per_s = *speed_bytes_per_s;
            peer.slot_free = *slot_free;
            peer.queue_length = *queue_length;
        }
        Event::Input(Input::Observation(Observation::ChunkArrived {
            assignment,
            range,
            elapsed_ms,
            ..
        })) => {
            if let Some(open) = state.transfers.open.get(assignment) {
                let peer = state.peers.entry(open.peer.clone()).or_default();
                peer.bytes = peer.bytes.saturating_add(range.len());
                peer.busy_ms = peer.busy_ms.saturating_add(*elapsed_ms);
                peer.failed_in_a_row = 0;
            }
        }
        Event::Decision(Decision::FileAssembled { track, .. }) => {
            let giver = state.transfers.open.values().find(|open| open.track == *track);
            if let Some(peer) = giver.map(|open| open.peer.clone()) {
                state.peers.entry(peer).or_default().completed += 1;
            }
        }
        Event::Decision(Decision::JobResumed { job, by: ResumedBy::Person }) => {
            let sources = state.jobs.get(job).into_iter().flat_map(|job| &job.tracks);
            for source in sources.flat_map(|track| &track.sources) {
                if let Some(peer) = state.peers.get_mut(&source.peer) {
                    peer.rest_until = peer.rest_until.min(at);
                }
            }
        }
        Event::Decision(Decision::PeerRested { peer, until, .. }) => {
            let peer = state.peers.entry(peer.clone()).or_default();
            peer.failed = peer.failed.saturating_add(1);
            peer.failed_in_a_row = peer.failed_in_a_row.saturating_add(1);
            peer.rest_until = (*until).max(at);
        }
        Event::Input(_) | Event::Decision(_) => {}
    }
}
