//! Transfers under way: chunks accepted or refused, failures, stalls, and what is cut when a run
//! begins. Who is asked next is decided in [`crate::schedule`].
//!
//! A Soulseek source streams from an offset to the end, so an assignment is the whole rest of a file
//! and arrives as many chunks. A track has at most one open assignment.

use domain::chunk::{Digest, cell_end};
use domain::decision::{AttemptDropReason, ChunkRefusal, CutReason, DropReason};
use domain::observation::{Observation, TransferEnd, TransferFault};
use domain::{AssignmentId, ByteRange, Decision, Event, Input, Timestamp, TrackKey};

use crate::state::{Assignment, State, TrackPhase};
use crate::{peer, schedule};

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
            chunk(state, *track, *assignment, *range, *digest, at)
        }
        Observation::TransferEnded { track, assignment, end } => {
            let Some(open) = open(state, *track, *assignment) else { return Vec::new() };
            let fault = match end {
                // All bytes would have closed the assignment with the last chunk.
                TransferEnd::Complete => TransferFault::ConnectionCut,
                TransferEnd::Failed(fault) => fault.clone(),
            };
            let mut decisions = vec![cut(*track, *assignment, CutReason::Failed)];
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
            vec![Decision::AttemptDropped { track: *track, attempt: *attempt, reason }]
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
    let known_bad = is_head(range, open.size)
        && state
            .recording(track)
            .is_some_and(|recording| state.refused.has_head(recording, open.size, digest));
    if known_bad {
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

/// A source that failed too often is dropped; its peer rests in any case.
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
        reason: fault.clone(),
        until: peer::rest(state, &open.peer, at),
    };
    let dropped =
        (failures + 1 >= state.run.policy.source_failures).then_some(Decision::SourceDropped {
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
        if overdue_at(state, open) > at {
            continue;
        }
        if open.started {
            let fault = TransferFault::TimedOut("bytes".into());
            let (rested, dropped) = drop_or_rest(state, open, fault, at);
            let cut = cut(open.track, *id, CutReason::Stalled);
            return [cut, rested].into_iter().chain(dropped).collect();
        }
        if schedule::has_alternative(state, open, at) {
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

pub(crate) fn wake(state: &State) -> Option<Timestamp> {
    state.transfers.open.values().map(|open| overdue_at(state, open)).min()
}

pub(crate) fn evolve(state: &mut State, event: &Event, at: Timestamp) {
    match event {
        Event::Input(Input::Observation(Observation::TransferStarted { assignment, .. })) => {
            if let Some(open) = state.transfers.open.get_mut(assignment) {
                open.started = true;
                open.progress_at = at;
            }
        }
        Event::Decision(Decision::WaitExtended { assignment, until, .. }) => {
            if let Some(open) = state.transfers.open.get_mut(assignment) {
                open.wait_until = *until;
            }
        }
        Event::Decision(Decision::RangeAssigned {
            track,
            assignment,
            source,
            peer,
            size,
            range,
            ..
        }) => {
            let wait_until = at.plus_ms(state.run.policy.queue_wait_ms);
            state.transfers.last = assignment.0;
            state.transfers.open.insert(
                *assignment,
                Assignment {
                    track: *track,
                    source: *source,
                    peer: peer.clone(),
                    size: *size,
                    range: *range,
                    started: false,
                    progress_at: at,
                    wait_until,
                },
            );
            if let Some(track) = state.track_mut(*track) {
                track.phase = TrackPhase::Fetching(*assignment);
            }
        }
        Event::Decision(Decision::ChunkAccepted { track, assignment, range, digest }) => {
            let Some(open) = state.transfers.open.get_mut(assignment) else { return };
            open.started = true;
            open.progress_at = at;
            let (source, size) = (open.source, open.size);
            if let Some(track) = state.track_mut(*track) {
                track.held = range.end;
                track.size = Some(size);
                track.givers.insert(source);
                if is_head(*range, size) {
                    track.head = Some(*digest);
                }
            }
        }
        Event::Decision(Decision::AssignmentCut { track, assignment, .. }) => {
            state.transfers.open.remove(assignment);
            if let Some(track) = state.track_mut(*track)
                && track.phase == TrackPhase::Fetching(*assignment)
            {
                track.phase = TrackPhase::Wanted;
            }
        }
        Event::Decision(Decision::FileAssembled { track, .. }) => {
            state.transfers.open.retain(|_, open| open.track != *track);
            if let Some(track) = state.track_mut(*track) {
                track.phase = TrackPhase::Examining;
            }
        }
        Event::Decision(Decision::AttemptDropped { track, .. }) => {
            state.transfers.open.retain(|_, open| open.track != *track);
            if let Some(track) = state.track_mut(*track) {
                track.start_over();
            }
        }
        Event::Input(_) | Event::Decision(_) => {}
    }
}
