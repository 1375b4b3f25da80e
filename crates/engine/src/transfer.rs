//! Transfers under way: chunks accepted or refused, failures, stalls, and what is cut when a run
//! begins. Who is asked next is decided in [`crate::schedule`].
//!
//! A Soulseek source streams from an offset to the end, so an assignment is the whole rest of a file
//! and arrives as many chunks. A track has at most one open assignment.

use domain::chunk::{Digest, cell_end};
use domain::decision::{AttemptDropReason, ChunkRefusal, CutReason, DropReason};
use domain::observation::{Observation, TransferEnd, TransferFault};
use domain::{AssignmentId, ByteRange, Decision, Input, Timestamp, TrackKey};

use crate::state::{Assignment, State, TrackJob, TrackPhase};
use crate::{peer, schedule, swarm};

pub(crate) fn react(state: &State, input: &Input, at: Timestamp) -> Vec<Decision> {
    let Input::Observation(seen) = input else { return Vec::new() };
    match seen {
        // Whatever the last run had under way died with it; the rest is assigned anew.
        Observation::NodeStarted { .. } => state
            .transfers
            .open
            .iter()
            .map(|(id, open)| cut(open.track, *id, CutReason::Restarted))
            .collect(),
        Observation::OverlapCompared { track, assignment, equal: false, .. } => {
            let Some(open) = open(state, *track, *assignment) else { return Vec::new() };
            vec![
                cut(*track, *assignment, CutReason::BadContent),
                Decision::SourceSetAside {
                    track: *track,
                    attempt: state.track(*track).map_or(0, |track| track.attempt),
                    source: open.source,
                },
            ]
        }
        Observation::ChunkArrived { track, assignment, range, digest, .. } => {
            match swarm::of(state, *track) {
                Some(_) => swarm::chunk(state, *track, *assignment, *range, *digest),
                None => chunk(state, *track, *assignment, *range, *digest, at),
            }
        }
        Observation::TransferEnded { track, assignment, end } => {
            let Some(open) = open(state, *track, *assignment) else { return Vec::new() };
            let is_part = swarm::of(state, *track).is_some();
            if is_part && *end == TransferEnd::Complete {
                return vec![cut(*track, *assignment, CutReason::Complete)];
            }
            let fault = match end {
                // All bytes would have closed the assignment with the last chunk.
                TransferEnd::Complete => TransferFault::ConnectionCut,
                TransferEnd::Failed(fault) => fault.clone(),
            };
            // What is asked for in parts comes by one connection; what is staged is staged for all.
            let is_lost = matches!(fault, TransferFault::StagingShort(_));
            let over = |(id, other): (&AssignmentId, &Assignment)| {
                if id == assignment || is_part && other.peer == open.peer {
                    Some(cut(*track, *id, CutReason::Failed))
                } else {
                    is_lost.then(|| cut(*track, *id, CutReason::Overtaken))
                }
            };
            let of_track = state.transfers.open.iter().filter(|(_, other)| other.track == *track);
            let mut decisions: Vec<_> = of_track.filter_map(over).collect();
            decisions.extend(after_fault(state, open, fault, at));
            decisions
        }
        Observation::StagingLost { track, attempt, detail } => {
            let present = state.track(*track).is_some_and(|track| {
                track.attempt == *attempt && track.phase != TrackPhase::Completed
            });
            if !present {
                return Vec::new();
            }
            let reason = AttemptDropReason::StagingLost(detail.clone());
            let of_track = state.transfers.open.iter().filter(|(_, open)| open.track == *track);
            of_track
                .map(|(id, _)| cut(*track, *id, CutReason::Overtaken))
                .chain([Decision::AttemptDropped { track: *track, attempt: *attempt, reason }])
                .collect()
        }
        _ => Vec::new(),
    }
}

fn open(state: &State, track: TrackKey, assignment: AssignmentId) -> Option<&Assignment> {
    state.transfers.open.get(&assignment).filter(|open| open.track == track)
}

fn cut(track: TrackKey, assignment: AssignmentId, reason: CutReason) -> Decision {
    Decision::AssignmentCut { track, assignment, reason }
}

fn chunk(
    state: &State,
    track: TrackKey,
    assignment: AssignmentId,
    range: ByteRange,
    digest: Digest,
    at: Timestamp,
) -> Vec<Decision> {
    let refuse = |reason| Decision::ChunkRefused { track, assignment, range, reason };
    let (Some(open), Some(job)) = (open(state, track, assignment), state.track(track)) else {
        return vec![refuse(ChunkRefusal::NotAssigned)];
    };
    if range.start != job.held || range.is_empty() || range.end > open.size {
        let (rested, dropped) = drop_or_rest(state, open, TransferFault::ConnectionCut, at);
        let cut = cut(track, assignment, CutReason::BadContent);
        return [refuse(ChunkRefusal::NotNext), cut, rested].into_iter().chain(dropped).collect();
    }
    if is_known_bad(state, track, open.size, range, digest) {
        return vec![
            refuse(ChunkRefusal::KnownBad),
            cut(track, assignment, CutReason::BadContent),
            Decision::SourceDropped { track, source: open.source, reason: DropReason::KnownBad },
        ];
    }
    let mut decisions = vec![Decision::ChunkAccepted { track, assignment, range, digest }];
    if range.end == open.size {
        decisions.push(Decision::FileAssembled { track, attempt: job.attempt, size: open.size });
    }
    decisions
}

/// Whether a file of a track begins with bytes that a refused one began with.
pub(crate) fn is_known_bad(
    state: &State,
    track: TrackKey,
    size: u64,
    range: ByteRange,
    digest: Digest,
) -> bool {
    let recording = state.recording(track);
    is_head(range, size)
        && recording.is_some_and(|recording| state.refused.has_head(recording, size, digest))
}

/// Whether a chunk is the first whole cell of its file: the part that files are known again by.
fn is_head(range: ByteRange, size: u64) -> bool {
    range.start == 0 && range.end == cell_end(0, size)
}

/// What a failed transfer means for its source and its peer.
fn after_fault(
    state: &State,
    open: &Assignment,
    fault: TransferFault,
    at: Timestamp,
) -> Vec<Decision> {
    let track = open.track;
    let held = state.track(track).map_or(0, |track| track.held);
    match fault {
        TransferFault::Denied(_) => {
            vec![Decision::SourceDropped {
                track,
                source: open.source,
                reason: DropReason::Failed(fault),
            }]
        }
        TransferFault::SizeChanged(size) => {
            let resized = state
                .track(track)
                .and_then(|track| track.source(open.source))
                .is_none_or(|source| source.resized);
            let too_large = size > state.run.policy.largest_file_bytes;
            if resized || held > 0 || size == 0 || too_large {
                let reason = DropReason::Failed(fault);
                vec![Decision::SourceDropped { track, source: open.source, reason }]
            } else {
                vec![Decision::SourceResized { track, source: open.source, size }]
            }
        }
        TransferFault::StagingShort(have) => {
            let attempt = state.track(track).map_or(0, |track| track.attempt);
            let reason = AttemptDropReason::StagingLost(format!("{have} of {held} B left"));
            vec![Decision::AttemptDropped { track, attempt, reason }]
        }
        // The job was held for it, or the session's return is waited for.
        TransferFault::Disk(_) | TransferFault::SessionClosed => Vec::new(),
        TransferFault::PeerOffline
        | TransferFault::CannotConnect
        | TransferFault::TimedOut(_)
        | TransferFault::ConnectionCut
        | TransferFault::UploadFailed
        | TransferFault::Surplus => {
            let (first, second) = drop_or_rest(state, open, fault, at);
            std::iter::once(first).chain(second).collect()
        }
    }
}

/// A source that failed too often is dropped, unless others give what it does not; its peer rests in any
/// case.
fn drop_or_rest(
    state: &State,
    open: &Assignment,
    fault: TransferFault,
    at: Timestamp,
) -> (Decision, Option<Decision>) {
    let track = open.track;
    let failures = state
        .track(track)
        .and_then(|track| track.source(open.source))
        .map_or(0, |source| source.failures);
    let rested = Decision::PeerRested {
        track,
        peer: open.peer.clone(),
        until: peer::rest(state, &open.peer, &fault, at),
        reason: fault.clone(),
    };
    let dropped = (failures + 1 >= state.run.policy.source_failures
        && swarm::of(state, track).is_none())
    .then_some(Decision::SourceDropped {
        track,
        source: open.source,
        reason: DropReason::Failed(fault),
    });
    (rested, dropped)
}

/// Nothing is fetched for a job that does not work; nobody is waited for too long.
pub(crate) fn rule(state: &State, at: Timestamp) -> Vec<Decision> {
    for (id, open) in &state.transfers.open {
        if !state.job(open.track.job).is_some_and(|job| job.is_working()) {
            return vec![cut(open.track, *id, CutReason::JobStopped)];
        }
        // A place in a queue is given up early only for one that can start at once.
        let is_replaced = is_starved(state, *id, open)
            && schedule::free_alternative_at(state, open).is_some_and(|from| from <= at);
        if overdue_at(state, open) > at && !is_replaced {
            continue;
        }
        if open.started {
            let fault = TransferFault::TimedOut("bytes".into());
            let (rested, dropped) = drop_or_rest(state, open, fault, at);
            let cut = cut(open.track, *id, CutReason::Stalled);
            return [cut, rested].into_iter().chain(dropped).collect();
        }
        let has_alternative = schedule::alternative_at(state, open).is_some_and(|from| from <= at);
        if swarm::of(state, open.track).is_none() && has_alternative {
            let fault = TransferFault::TimedOut("a slot".into());
            let (rested, dropped) = drop_or_rest(state, open, fault, at);
            let cut = cut(open.track, *id, CutReason::QueuedTooLong);
            return [cut, rested].into_iter().chain(dropped).collect();
        }
        let until = at.plus_ms(state.run.policy.queue_wait_ms.max(1));
        return vec![Decision::WaitExtended { track: open.track, assignment: *id, until }];
    }
    Vec::new()
}

fn overdue_at(state: &State, open: &Assignment) -> Timestamp {
    if open.started {
        open.progress_at.plus_ms(state.run.policy.stall_after_ms)
    } else {
        open.wait_until
    }
}

/// Whether an assignment stands in a queue for want of others.
fn is_starved(state: &State, id: AssignmentId, open: &Assignment) -> bool {
    open.is_extended
        && !open.started
        && state.track(open.track).is_some_and(|it| it.phase == TrackPhase::Fetching(id))
        && swarm::of(state, open.track).is_none()
}

/// Whether a track waits for a source that keeps it in its queue, for want of others.
pub(crate) fn starves(state: &State, track: &TrackJob) -> bool {
    let TrackPhase::Fetching(id) = track.phase else { return false };
    state.transfers.open.get(&id).is_some_and(|open| is_starved(state, id, open))
}

pub(crate) fn wake(state: &State) -> Option<Timestamp> {
    let open = state.transfers.open.iter();
    open.flat_map(|(id, open)| {
        let starved = Some(open).filter(|open| is_starved(state, *id, open));
        let replaced = starved.and_then(|open| schedule::free_alternative_at(state, open));
        [Some(overdue_at(state, open)), replaced]
    })
    .flatten()
    .min()
}

pub(crate) fn assigned(state: &mut State, id: AssignmentId, open: Assignment) {
    let track = open.track;
    state.transfers.last = id.0;
    state.transfers.open.insert(id, open);
    if let Some(track) = state.track_mut(track) {
        track.phase = TrackPhase::Fetching(id);
    }
}

pub(crate) fn started(state: &mut State, assignment: AssignmentId, at: Timestamp) {
    if let Some(open) = state.transfers.open.get_mut(&assignment) {
        open.started = true;
        open.progress_at = at;
    }
}

pub(crate) fn wait_extended(state: &mut State, assignment: AssignmentId, until: Timestamp) {
    if let Some(open) = state.transfers.open.get_mut(&assignment) {
        open.wait_until = until;
        open.is_extended = true;
    }
}

pub(crate) fn accepted(
    state: &mut State,
    track: TrackKey,
    assignment: AssignmentId,
    range: ByteRange,
    digest: Digest,
    at: Timestamp,
) {
    let Some(open) = state.transfers.open.get_mut(&assignment) else { return };
    open.started = true;
    open.progress_at = at;
    let (source, size) = (open.source, open.size);
    if let Some(track) = state.track_mut(track) {
        track.held = match &mut track.swarm {
            Some(swarm) => {
                swarm.held.insert(range);
                swarm.held.bytes()
            }
            None => range.end,
        };
        track.size = Some(size);
        track.givers.insert(source);
        if is_head(range, size) {
            track.head = Some(digest);
        }
    }
}

pub(crate) fn taken_back(state: &mut State, track: TrackKey, assignment: AssignmentId) {
    state.transfers.open.remove(&assignment);
    let other = state.transfers.open.iter().find(|(_, open)| open.track == track).map(|it| *it.0);
    if let Some(track) = state.track_mut(track)
        && track.phase == TrackPhase::Fetching(assignment)
    {
        track.phase = other.map_or(TrackPhase::Wanted, TrackPhase::Fetching);
    }
}

pub(crate) fn assembled(state: &mut State, key: TrackKey) {
    state.transfers.open.retain(|_, open| open.track != key);
    if let Some(track) = state.track_mut(key) {
        track.phase = TrackPhase::Examining;
    }
}

/// The bytes held were given up.
pub(crate) fn dropped(state: &mut State, key: TrackKey) {
    state.transfers.open.retain(|_, open| open.track != key);
    if let Some(track) = state.track_mut(key) {
        track.start_over();
    }
}
