//! Files whose exact content is known: any number of sources give parts of one at once, each part
//! checked as it comes. Sources that give ranges and sources that only stream are driven by the same
//! assignments. This file holds what is remembered of them and what follows from news; who is asked for
//! what is in [`plan`], which bytes those are in [`pick`] and
//! [`stream`]. A file whose content nobody has described comes
//! from one source at a time: [`crate::schedule`]. See docs/decisions/0020.

use domain::chunk::{Content, Digest};
use domain::decision::{AttemptDropReason, ChunkRefusal, CutReason};
use domain::id::Transport;
use domain::observation::Observation;
use domain::score::Ppm;
use domain::{
    AssignmentId, ByteRange, Decision, Input, PeerId, RangeSet, SourceId, Timestamp, TrackKey,
};

use crate::state::{Assignment, Giver, Standing, State, Swarm, TrackJob, TrackPhase, Turn};
use crate::transfer;

mod pick;
mod plan;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use plan::{is_hopeless, is_served, rule, wake};

/// Units that a file may have: what is remembered of one stays small.
const UNITS_MOST: u64 = 1 << 20;
/// Ranges that a node may say it holds.
const TOLD_MOST: usize = 4096;
/// Around wrong bytes this part of the file is doubted at first.
const DOUBTED_PART: u64 = 32;
/// Over this time a rate is measured, in milliseconds: rates change within seconds.
const RATE_OVER_MS: u64 = 1_500;
/// Rates above are taken for this one, in bytes a second: what arrived and how long it took is told by
/// others, and what is reckoned with it must stay small.
const FASTEST: u64 = 1 << 40;

/// The swarm of a track, while there is one.
pub(crate) fn of(state: &State, track: TrackKey) -> Option<&Swarm> {
    state.track(track)?.swarm.as_deref()
}

fn giver(state: &mut State, assignment: AssignmentId) -> Option<(&mut Assignment, &mut Giver)> {
    let open = state.transfers.open.get_mut(&assignment)?;
    let job = state.jobs.get_mut(&open.track.job)?;
    let track = job.tracks.get_mut(usize::from(open.track.index))?;
    let source = open.source;
    Some((open, track.swarm.as_mut()?.givers.entry(source).or_default()))
}

pub(crate) fn react(state: &State, input: &Input, _at: Timestamp) -> Vec<Decision> {
    let Input::Observation(seen) = input else { return Vec::new() };
    match seen {
        Observation::ContentDescribed { track: key, content } => {
            let Some(track) = state.track(*key).filter(|track| may_adopt(state, track, content))
            else {
                return Vec::new();
            };
            // Whoever was asked for the whole file is asked again, for a part.
            let asked = state.transfers.open.iter().filter(|(_, open)| open.track == *key);
            let cut = |(id, _): (&AssignmentId, &Assignment)| Decision::AssignmentCut {
                track: *key,
                assignment: *id,
                reason: CutReason::Overtaken,
            };
            let (attempt, content) = (track.attempt, *content);
            let adopted = Decision::ContentAdopted { track: *key, attempt, content };
            asked.map(cut).chain([adopted]).collect()
        }
        Observation::HoldingTold { track: key, peer, .. } => {
            let Some((track, swarm)) =
                state.track(*key).and_then(|track| Some((track, track.swarm.as_ref()?)))
            else {
                return Vec::new();
            };
            let is_known = track.sources.iter().any(|source| source.peer == *peer);
            let full = track.usable().count() >= state.run.policy.sources_per_track as usize;
            if is_known || full || peer.transport() != Transport::Ranges {
                return Vec::new();
            }
            vec![Decision::SourceFound {
                track: *key,
                source: SourceId(u32::try_from(track.sources.len()).unwrap_or(u32::MAX)),
                peer: peer.clone(),
                path: String::new(),
                size: swarm.content.size,
                likeness: Ppm::ONE,
            }]
        }
        _ => Vec::new(),
    }
}

/// Whether the first description of a file that can be is taken: while nothing is held, it costs
/// nothing to be wrong but the time until the file is examined.
fn may_adopt(state: &State, track: &TrackJob, content: &Content) -> bool {
    track.swarm.is_none()
        && track.held == 0
        && matches!(track.phase, TrackPhase::Wanted | TrackPhase::Fetching(_))
        && can_be(content, state.run.policy.largest_file_bytes)
}

/// Whether a file can have this content. What is reckoned with it must not overflow.
fn can_be(content: &Content, largest_file_bytes: u64) -> bool {
    content.unit > 0
        && content.size > 0
        && content.size <= largest_file_bytes
        && content.size / u64::from(content.unit) < UNITS_MOST
}

/// Right bytes came.
pub(crate) fn chunk(
    state: &State,
    track: TrackKey,
    assignment: AssignmentId,
    range: ByteRange,
    digest: Digest,
) -> Vec<Decision> {
    let refuse = |reason| vec![Decision::ChunkRefused { track, assignment, range, reason }];
    let open = state.transfers.open.get(&assignment).filter(|open| open.track == track);
    let (Some(open), Some(job), Some(swarm)) = (open, state.track(track), of(state, track)) else {
        return refuse(ChunkRefusal::NotAssigned);
    };
    // What came next was noted when it came.
    if range.is_empty() || open.next != range.end || !is_units(swarm, range) {
        return refuse(ChunkRefusal::NotNext);
    }
    let new = swarm.held.missing_in(range);
    if new.is_empty() {
        return refuse(ChunkRefusal::Held);
    }
    let others = || {
        let open = &state.transfers.open;
        open.iter().filter(|(id, open)| open.track == track && **id != assignment)
    };
    let cut = |id: AssignmentId, reason| Decision::AssignmentCut { track, assignment: id, reason };
    if transfer::is_known_bad(state, track, swarm.content.size, range, digest) {
        let attempt = job.attempt;
        let reason = AttemptDropReason::NoSourceLeft;
        let mut decisions = refuse(ChunkRefusal::KnownBad);
        decisions.push(cut(assignment, CutReason::BadContent));
        decisions.extend(others().map(|(id, _)| cut(*id, CutReason::BadContent)));
        decisions.push(Decision::AttemptDropped { track, attempt, reason });
        return decisions;
    }
    let accept = |range| Decision::ChunkAccepted { track, assignment, range, digest };
    let mut decisions: Vec<_> = new.iter().map(accept).collect();
    if swarm.held.bytes() + new.bytes() == swarm.content.size {
        decisions.extend(others().map(|(id, _)| cut(*id, CutReason::Overtaken)));
        let (attempt, size) = (job.attempt, swarm.content.size);
        decisions.push(Decision::FileAssembled { track, attempt, size });
    }
    decisions
}

fn is_units(swarm: &Swarm, range: ByteRange) -> bool {
    let unit = u64::from(swarm.content.unit);
    range.start.is_multiple_of(unit)
        && range.end <= swarm.content.size
        && (range.end.is_multiple_of(unit) || range.end == swarm.content.size)
}

pub(crate) fn adopted(state: &mut State, track: TrackKey, content: &Content) {
    // A log may say what was never decided.
    if !can_be(content, state.run.policy.largest_file_bytes) {
        return;
    }
    if let Some(track) = state.track_mut(track) {
        track.size = Some(content.size);
        // Whoever has this very file is looked for before it is given up.
        track.searched = false;
        track.swarm = Some(Box::new(Swarm {
            content: *content,
            held: RangeSet::default(),
            has: std::collections::BTreeMap::new(),
            givers: std::collections::BTreeMap::new(),
            doubled: 0,
        }));
        // Those of other sizes have other files.
        for source in &mut track.sources {
            if source.size != content.size && source.standing == Standing::Usable {
                source.standing = Standing::SetAside;
            }
        }
    }
}

pub(crate) fn told(state: &mut State, track: TrackKey, peer: &PeerId, ranges: &[ByteRange]) {
    let Some(swarm) = state.track_mut(track).and_then(|track| track.swarm.as_mut()) else { return };
    let Content { size, unit, .. } = swarm.content;
    let unit = u64::from(unit);
    // Whole units only: others cannot be checked.
    let inside = |range: &ByteRange| ByteRange {
        start: range.start.min(size).div_ceil(unit) * unit,
        end: if range.end >= size { size } else { range.end / unit * unit },
    };
    let all = [ByteRange { start: 0, end: size }];
    let ranges = if ranges.is_empty() { &all[..] } else { ranges };
    swarm.has.insert(peer.clone(), ranges.iter().take(TOLD_MOST).map(inside).collect());
}

pub(crate) fn assigned(state: &mut State, assignment: AssignmentId, is_double: bool) {
    let Some(open) = state.transfers.open.get(&assignment) else { return };
    let (track, range, transport) = (open.track, open.range, open.peer.transport());
    if let Some(swarm) = state.track_mut(track).and_then(|track| track.swarm.as_mut()) {
        let doubled = if is_double { range.len() } else { 0 };
        swarm.doubled = swarm.doubled.saturating_add(doubled);
        if transport == Transport::Stream
            && let Some(open) = state.transfers.open.get_mut(&assignment)
        {
            open.turn = Turn::Queued;
        }
    }
}

pub(crate) fn granted(state: &mut State, assignment: AssignmentId, at: Timestamp) {
    if let Some((open, giver)) = giver(state, assignment)
        && open.turn == Turn::Queued
    {
        open.turn = Turn::Granted;
        giver.wait_ms = at.ms_since(open.asked_at);
        giver.starts = giver.starts.saturating_add(1);
    }
}

pub(crate) fn offset_chosen(
    state: &mut State,
    assignment: AssignmentId,
    range: ByteRange,
    at: Timestamp,
) {
    if let Some((open, giver)) = giver(state, assignment) {
        open.turn = Turn::Told;
        (open.range, open.next, open.asked_at) = (range, range.start, at);
        giver.spoiled_bytes = 0;
    }
}

pub(crate) fn end_moved(state: &mut State, assignment: AssignmentId, end: u64) {
    if let Some(open) = state.transfers.open.get_mut(&assignment) {
        open.range.end = end;
    }
}

pub(crate) fn started(state: &mut State, assignment: AssignmentId, at: Timestamp) {
    if let Some((open, giver)) = giver(state, assignment) {
        let rtt = at.ms_since(open.asked_at).max(1);
        giver.rtt_ms = if giver.rtt_ms == 0 { rtt } else { giver.rtt_ms.min(rtt) };
        (giver.heard_at, giver.is_silent) = (at, false);
    }
}

/// Bytes came, whatever becomes of them.
pub(crate) fn arrived(
    state: &mut State,
    assignment: AssignmentId,
    range: ByteRange,
    elapsed_ms: u64,
    at: Timestamp,
) {
    moved(state, assignment, range, at);
    let unit = content(state, assignment).map_or(1, |content| u64::from(content.unit));
    if let Some((_, giver)) = giver(state, assignment) {
        (giver.spoiled_in_a_row, giver.spoiled_bytes) = (0, 0);
        trusted(giver, range, unit);
        heard(giver, range, elapsed_ms, at);
    }
}

/// What comes next of a part is noted when it comes, whatever it is worth.
fn moved(state: &mut State, assignment: AssignmentId, range: ByteRange, at: Timestamp) {
    if content(state, assignment).is_none() {
        return;
    }
    if let Some(open) = state.transfers.open.get_mut(&assignment) {
        open.progress_at = at;
        if open.next == range.start {
            open.next = range.end;
        }
    }
}

fn heard(giver: &mut Giver, range: ByteRange, elapsed_ms: u64, at: Timestamp) {
    let per_s = range.len().saturating_mul(1000);
    if giver.rate == 0 {
        giver.rate = per_s / elapsed_ms.max(20);
    } else if !giver.is_silent {
        // Of a silence it was taken out; that it was silent says nothing of how fast it is.
        let before = giver.rate.saturating_mul(RATE_OVER_MS);
        giver.rate = before.saturating_add(per_s) / RATE_OVER_MS.saturating_add(elapsed_ms).max(1);
    }
    giver.rate = giver.rate.clamp(1, FASTEST);
    (giver.heard_at, giver.is_silent) = (at, false);
}

/// Right bytes among doubted ones: those around are doubted no more, half as far as the wrong ones are.
fn trusted(giver: &mut Giver, range: ByteRange, unit: u64) {
    if !giver.doubted.meets(range) {
        return;
    }
    let below =
        giver.spoiled.iter().filter(|it| it.end <= range.start).map(|it| it.end).next_back();
    let above = giver.spoiled.iter().find(|it| range.end <= it.start).map(|it| it.start);
    let half = |bytes: u64| bytes / 2 / unit * unit;
    let start = below.map_or(0, |below| range.start - half(range.start - below));
    let end = above.map_or(u64::MAX, |above| range.end + half(above - range.end));
    giver.doubted.remove(ByteRange { start, end });
}

/// Wrong bytes came. The nearer to them, the likelier that others are wrong too.
pub(crate) fn spoiled(
    state: &mut State,
    assignment: AssignmentId,
    range: ByteRange,
    elapsed_ms: u64,
    at: Timestamp,
) {
    moved(state, assignment, range, at);
    let Some(Content { size, unit, .. }) = content(state, assignment) else { return };
    let Some((_, giver)) = giver(state, assignment) else { return };
    heard(giver, range, elapsed_ms, at);
    let unit = u64::from(unit);
    // What goes on from wrong bytes tells no more than they did.
    if range.start == 0 || !giver.spoiled.has(range.start - 1) {
        giver.spoiled_in_a_row = giver.spoiled_in_a_row.saturating_add(1);
    }
    let wider = giver.spoiled_in_a_row.saturating_sub(1).min(20);
    let near = unit.max(size / DOUBTED_PART).saturating_mul(1 << wider).min(size);
    giver.spoiled_bytes = giver.spoiled_bytes.saturating_add(range.len());
    let range = ByteRange { start: range.start.min(size), end: range.end.min(size) };
    giver.spoiled.insert(range);
    giver.doubted.insert(ByteRange {
        start: range.start.saturating_sub(near) / unit * unit,
        end: range.end.saturating_add(near).min(size).div_ceil(unit).saturating_mul(unit).min(size),
    });
}

fn content(state: &State, assignment: AssignmentId) -> Option<Content> {
    Some(of(state, state.transfers.open.get(&assignment)?.track)?.content)
}

pub(crate) fn silenced(state: &mut State, track: TrackKey, source: SourceId) {
    if let Some(swarm) = state.track_mut(track).and_then(|track| track.swarm.as_mut()) {
        swarm.givers.entry(source).or_default().is_silent = true;
    }
}
