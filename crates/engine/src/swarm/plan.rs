//! What is done about a swarm as it stands: who is taken for silent, whose assignment is over, where a
//! stream begins and ends, and who is asked for more. Which bytes is chosen in [`super::pick`].

use domain::decision::{AttemptDropReason, Choice, CutReason};
use domain::id::Transport;
use domain::{AssignmentId, ByteRange, Decision, RangeSet, SourceId, Timestamp, TrackKey};

use super::pick::{Active, Pick, View};
use crate::search;
use crate::state::{Assignment, Giver, Source, Standing, State, Swarm, TrackJob, TrackPhase, Turn};

/// Sources of one file that are looked at together.
const ACTIVE_MOST: usize = 64;
/// Parts that a source that gives ranges is asked for at once, so that none waits for our next request.
const AHEAD_MOST: usize = 4;
/// Transfers that a source that streams is asked for, for one file; each takes a turn in its queue.
const STARTS_MOST: u32 = 4;
/// Shortest silence that counts, in milliseconds.
const SILENT_MS: u64 = 1_000;
/// The same before anything has come of a source.
const SILENT_AT_FIRST_MS: u64 = 1_500;
/// Wrong bytes in a row after which a stream is ended.
const SPOILED_MOST: u64 = 256 * 1024;

pub(crate) fn rule(state: &State, at: Timestamp) -> Vec<Decision> {
    swarms(state)
        .map(|(key, track, swarm)| step(state, key, track, swarm, at))
        .find(|decisions| !decisions.is_empty())
        .unwrap_or_default()
}

/// When somebody will have been silent for too long, or has rested.
pub(crate) fn wake(state: &State) -> Option<Timestamp> {
    swarms(state)
        .flat_map(|(key, track, swarm)| {
            let silent = track.usable().filter_map(move |(id, _)| {
                let giver = swarm.givers.get(&id).cloned().unwrap_or_default();
                silent_at(&giver, swarm, &told(state, key, id))
            });
            let rested = track
                .usable()
                .filter_map(|(_, source)| Some(state.peers.get(&source.peer)?.rest_until));
            silent.chain(rested)
        })
        .filter(|at| *at > state.run.at)
        .min()
}

fn swarms(state: &State) -> impl Iterator<Item = (TrackKey, &TrackJob, &Swarm)> {
    state.unfinished().filter(|(_, job)| job.is_working()).flat_map(|(id, job)| {
        (0u16..).zip(&job.tracks).filter_map(move |(index, track)| {
            let is_gathered = matches!(track.phase, TrackPhase::Wanted | TrackPhase::Fetching(_));
            let swarm = track.swarm.as_deref().filter(|_| is_gathered)?;
            Some((TrackKey { job: *id, index }, track, swarm))
        })
    })
}

fn asked(
    state: &State,
    key: TrackKey,
    source: SourceId,
) -> impl Iterator<Item = (AssignmentId, &Assignment)> {
    state
        .transfers
        .open
        .iter()
        .filter(move |(_, open)| open.track == key && open.source == source)
        .map(|(id, open)| (*id, open))
}

fn told(state: &State, key: TrackKey, source: SourceId) -> Vec<&Assignment> {
    let open = asked(state, key, source).map(|(_, open)| open);
    open.filter(|open| open.turn == Turn::Told).collect()
}

/// When a source that was told what to give will have been silent for too long.
fn silent_at(giver: &Giver, swarm: &Swarm, told: &[&Assignment]) -> Option<Timestamp> {
    let asked_at = told.iter().map(|open| open.asked_at).min()?;
    if giver.is_silent {
        return None;
    }
    let unit_ms = (u64::from(swarm.content.unit) * 1000).checked_div(giver.rate).unwrap_or(0);
    let patience = if giver.rate == 0 {
        SILENT_AT_FIRST_MS.max(3 * giver.rtt_ms)
    } else {
        SILENT_MS.max(3 * giver.rtt_ms).max((3 * unit_ms).min(10_000))
    };
    Some(giver.heard_at.max(asked_at).plus_ms(patience))
}

fn step(
    state: &State,
    key: TrackKey,
    track: &TrackJob,
    swarm: &Swarm,
    at: Timestamp,
) -> Vec<Decision> {
    // Others were looked for in vain.
    if track.searched && is_hopeless(track) && !search::is_open(state, key) {
        let reason = AttemptDropReason::NoSourceLeft;
        return vec![Decision::AttemptDropped { track: key, attempt: track.attempt, reason }];
    }
    let view = View::new(swarm, active(state, key, track, swarm, at));
    let cut = |assignment, reason| Decision::AssignmentCut { track: key, assignment, reason };
    for it in &view.active {
        let told: Vec<_> = it.told().map(|(_, open)| open).collect();
        if silent_at(&it.giver, swarm, &told).is_some_and(|due| due <= at) {
            return vec![Decision::SourceSilent { track: key, source: it.id }];
        }
    }
    for (number, it) in view.active.iter().enumerate() {
        for (id, open) in it.told() {
            if open.next >= open.range.end {
                return vec![cut(id, CutReason::Complete)];
            }
            if let Some(over) = over(&view, number, open, it.giver.spoiled_bytes) {
                return vec![cut(id, over)];
            }
            let end = match it.transport() {
                Transport::Stream => view.stream_end(number, open.next),
                Transport::Ranges => {
                    view.rest(open).iter().next_back().map_or(open.range.end, |last| last.end)
                }
            };
            if end != open.range.end {
                return vec![Decision::EndMoved { track: key, assignment: id, end }];
            }
        }
    }
    if let Some(pick) = view.active.iter().find_map(|it| view.excess(it)) {
        return given_up(key, &pick).collect();
    }
    for (number, it) in view.active.iter().enumerate() {
        let granted = it.open.iter().find(|(_, open)| open.turn == Turn::Granted);
        if let Some((id, _)) = granted {
            let chosen = |range| Decision::OffsetChosen { track: key, assignment: *id, range };
            if let Some(range) = view.stream_for(number) {
                return vec![chosen(range)];
            }
            return match view.takeover(number) {
                Some(pick) => given_up(key, &pick).chain([chosen(pick.range)]).collect(),
                None => vec![cut(*id, CutReason::Overtaken)],
            };
        }
    }
    if state.transfers.open.len() >= state.run.policy.transfers as usize {
        return Vec::new();
    }
    ask(state, key, track, &view)
}

/// Why an assignment is of no more use, if it is not.
fn over(view: &View<'_>, number: usize, open: &Assignment, spoiled: u64) -> Option<CutReason> {
    let it = &view.active[number];
    match it.transport() {
        Transport::Ranges => {
            let (next, rest) = (open.next, view.rest(open));
            if rest.is_empty() || !view.missing.has(next) {
                return Some(CutReason::Overtaken);
            }
            // Somebody else can be asked for what it has wrong.
            let is_probe = rest.bytes() <= view.unit;
            (spoiled > 0 && !is_probe && !it.can.has(next)).then_some(CutReason::BadContent)
        }
        Transport::Stream => {
            if spoiled > SPOILED_MOST {
                return Some(CutReason::BadContent);
            }
            (view.stream_end(number, open.next) == open.next).then_some(CutReason::Overtaken)
        }
    }
}

fn active<'a>(
    state: &'a State,
    key: TrackKey,
    track: &'a TrackJob,
    swarm: &Swarm,
    at: Timestamp,
) -> Vec<Active<'a>> {
    track
        .usable()
        .filter(|(_, source)| source.size == swarm.content.size)
        .map(|(id, source)| (id, source, asked(state, key, id).collect::<Vec<_>>()))
        // What only they could give is asked of others, who may be wrong.
        .filter(|(id, source, open)| !open.is_empty() || !is_spent(swarm, *id, source))
        .filter_map(|(id, source, open)| {
            let rests = state.peers.get(&source.peer).is_some_and(|peer| peer.rest_until > at);
            let most = match source.peer.transport() {
                Transport::Stream => state.run.policy.transfers_per_peer as usize,
                Transport::Ranges => AHEAD_MOST,
            };
            let is_busy = with_peer(state, source) >= most || is_asked_for(state, key, source);
            let is_reached = source.peer.transport() == Transport::Ranges || state.run.session;
            (!rests || !open.is_empty()).then(|| Active {
                id,
                source,
                giver: swarm.givers.get(&id).cloned().unwrap_or_default(),
                is_free: !rests && !is_busy && is_reached,
                open,
                can: RangeSet::default(),
                rate: 0,
            })
        })
        .take(ACTIVE_MOST)
        .collect()
}

fn with_peer(state: &State, source: &Source) -> usize {
    state.transfers.open.values().filter(|open| open.peer == source.peer).count()
}

/// Whether a peer that streams is asked for this very file already, by whatever job or name: it would
/// take the second request for the first.
fn is_asked_for(state: &State, key: TrackKey, source: &Source) -> bool {
    let mut open = state.transfers.open.values().filter(|open| open.peer == source.peer);
    let path = |open: &Assignment| Some(&state.track(open.track)?.source(open.source)?.path);
    source.peer.transport() == Transport::Stream
        && open.any(|open| open.track == key || path(open) == Some(&source.path))
}

/// Whether a source has streamed as often as it is asked to for one file.
fn is_spent(swarm: &Swarm, id: SourceId, source: &Source) -> bool {
    let starts = swarm.givers.get(&id).map_or(0, |giver| giver.starts);
    source.peer.transport() == Transport::Stream && starts >= STARTS_MOST
}

/// Whether any source could give a byte that is missing, now or after a rest.
pub(crate) fn is_served(track: &TrackJob, swarm: &Swarm) -> bool {
    let missing = swarm.held.missing_in(ByteRange { start: 0, end: swarm.content.size });
    track
        .usable()
        .filter(|(_, source)| source.size == swarm.content.size)
        .filter(|(id, source)| !is_spent(swarm, *id, source))
        .any(|(id, source)| {
            let mut may = match swarm.has.get(&source.peer) {
                Some(has) => missing.and(has),
                None => missing.clone(),
            };
            if let Some(giver) = swarm.givers.get(&id) {
                may.remove_all(&giver.spoiled);
            }
            !may.is_empty()
        })
}

/// Whether a file cannot be had in parts, and others than this one might be.
pub(crate) fn is_hopeless(track: &TrackJob) -> bool {
    let might = |source: &Source| matches!(source.standing, Standing::Usable | Standing::SetAside);
    track.phase == TrackPhase::Wanted
        && track.sources.iter().any(might)
        && track.swarm.as_ref().is_some_and(|swarm| !is_served(track, swarm))
}

/// The next source that is asked for more, the quickest first.
fn ask(state: &State, key: TrackKey, track: &TrackJob, view: &View<'_>) -> Vec<Decision> {
    let mut order: Vec<usize> =
        (0..view.active.len()).filter(|number| view.active[*number].is_free).collect();
    order.sort_by_key(|number| std::cmp::Reverse(view.active[*number].rate));
    for number in order {
        let it = &view.active[number];
        let pick = match it.transport() {
            Transport::Ranges if it.open.len() < AHEAD_MOST => view.range_for(number),
            Transport::Stream if it.open.is_empty() && is_worth_a_turn(view, it) => {
                // Which bytes is chosen when it is our turn.
                let first = it.can.iter().next();
                let size = view.swarm.content.size;
                first.map(|run| Pick {
                    range: ByteRange { start: run.start, end: size },
                    moved: None,
                    cut: None,
                    is_double: false,
                })
            }
            Transport::Ranges | Transport::Stream => None,
        };
        if let Some(pick) = pick {
            return decided(state, key, track, view, it, &pick);
        }
    }
    Vec::new()
}

/// Whether a turn in a queue may come before all is done.
fn is_worth_a_turn(view: &View<'_>, it: &Active<'_>) -> bool {
    let Giver { starts, wait_ms, .. } = it.giver;
    let wait = wait_ms + it.rtt_ms() + 300;
    !it.can.is_empty() && (starts == 0 || starts < STARTS_MOST && view.remaining_ms() > wait)
}

fn decided(
    state: &State,
    key: TrackKey,
    track: &TrackJob,
    view: &View<'_>,
    it: &Active<'_>,
    pick: &Pick,
) -> Vec<Decision> {
    let assigned = Decision::RangeAssigned {
        track: key,
        attempt: track.attempt,
        assignment: AssignmentId(state.transfers.last.saturating_add(1)),
        source: it.id,
        peer: it.source.peer.clone(),
        path: it.source.path.clone(),
        size: view.swarm.content.size,
        range: pick.range,
        overlap: 0,
        choice: Choice {
            candidates: u32::try_from(view.active.len()).unwrap_or(u32::MAX),
            cost_ms: pick.range.len().saturating_mul(1000) / it.rate,
            next_cost_ms: None,
            takeover: pick.is_double,
        },
    };
    given_up(key, pick).chain([assigned]).collect()
}

/// What others are no longer asked for when somebody is asked for what was picked.
fn given_up(key: TrackKey, pick: &Pick) -> impl Iterator<Item = Decision> {
    let moved = pick.moved.map(|(id, end)| Decision::EndMoved { track: key, assignment: id, end });
    let cut = pick.cut.map(|assignment| Decision::AssignmentCut {
        track: key,
        assignment,
        reason: CutReason::Overtaken,
    });
    moved.into_iter().chain(cut)
}
