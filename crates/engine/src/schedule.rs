//! Chooses which source is asked for which track. Touches no socket: an assignment becomes bytes in
//! `node::perform::transfer`. What a peer is expected to take is in [`crate::peer`].
//!
//! One source at a time per file, many files over many peers. When an assignment ends early, the
//! rest goes to the next source from the byte held, with an overlap that proves it is the same file.

use domain::chunk::OVERLAP_BYTES;
use domain::decision::{AttemptDropReason, Choice};
use domain::id::Transport;
use domain::score::Ppm;
use domain::{AssignmentId, ByteRange, Decision, PeerId, SourceId, Timestamp, TrackKey};

use crate::peer::Cost;
use crate::source;
use crate::state::{Assignment, Job, Peer, Source, Standing, State, TrackJob};

/// Files that fit a track at least this well come before all others.
const FITS_WELL: Ppm = Ppm(850_000);

/// What a source is chosen by: the smallest wins. Fields are in the order of their weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// A file of this size was refused for this track.
    pub refused_size: bool,
    /// Damaged files that it gave a part of.
    pub suspicions: u32,
    /// Its name fits only somehow.
    pub fits_somehow: bool,
    /// It loses quality.
    pub lossy: bool,
    /// Expected time to the last byte, in milliseconds.
    pub cost_ms: u64,
    /// Of equals the first found.
    pub id: SourceId,
}

/// Why a source is not asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is out of use.
    Out(Standing),
    /// The bytes held are of a file of another size.
    OtherSize,
    /// Its peer is asked for as much as it may be asked for at once.
    PeerBusy,
    /// Its peer is asked for this very file already.
    Asked,
    /// Its peer gives parts of a file whose content is known, and this one's is not.
    InParts,
    /// Its peer rests until then.
    Rests(Timestamp),
}

/// A source of a track, and what speaks for or against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its number within the track.
    pub id: SourceId,
    /// The source.
    pub source: Source,
    /// What it is chosen by, or why it is not asked now.
    pub verdict: Result<(Rank, Cost), Unfit>,
}

pub(crate) fn rule(state: &State, at: Timestamp) -> Vec<Decision> {
    for (key, _, track) in whole(state) {
        if let Some(dropped) = stranded(key, track) {
            return vec![dropped];
        }
    }
    if !has_room(state) {
        return Vec::new();
    }
    whole(state)
        .filter(|(_, _, track)| track.gather_until <= at)
        .find_map(|(key, _, track)| assign(state, key, track, at))
        .into_iter()
        .collect()
}

/// The earliest end of a rest, or of gathering answers, that something waits for.
pub(crate) fn wake(state: &State) -> Option<Timestamp> {
    if !has_room(state) {
        return None;
    }
    whole(state)
        .flat_map(|(_, _, track)| {
            fitting(state, track).map(|(_, _, peer)| {
                let rested = peer.map_or(Timestamp(0), |peer| peer.rest_until);
                rested.max(track.gather_until)
            })
        })
        .min()
}

/// Wanted tracks whose files come from one source at a time; the others are [`crate::swarm`]'s.
fn whole(state: &State) -> impl Iterator<Item = (TrackKey, &Job, &TrackJob)> {
    state.wanted().filter(|(_, _, track)| track.swarm.is_none())
}

fn has_room(state: &State) -> bool {
    state.run.session && state.transfers.open.len() < state.run.policy.transfers as usize
}

/// Bytes held of a file that nobody can continue are in the way of other files.
fn stranded(key: TrackKey, track: &TrackJob) -> Option<Decision> {
    let size = track.size.filter(|_| track.held > 0)?;
    let continued = track.usable().any(|(_, source)| source.size == size);
    let others = track
        .sources
        .iter()
        .any(|source| matches!(source.standing, Standing::Usable | Standing::SetAside));
    (others && !continued).then_some(Decision::AttemptDropped {
        track: key,
        attempt: track.attempt,
        reason: AttemptDropReason::NoSourceLeft,
    })
}

/// Sources that could continue the track's file and whose peers have room for one more, rested or
/// not.
fn fitting<'a>(
    state: &'a State,
    track: &'a TrackJob,
) -> impl Iterator<Item = (SourceId, &'a Source, Option<&'a Peer>)> {
    (0u32..)
        .map(SourceId)
        .zip(&track.sources)
        .filter(|(_, source)| unfit(state, track, source).is_none())
        .map(|(id, source)| (id, source, state.peers.get(&source.peer)))
}

/// Why a source could not continue the track's file, were its peer rested.
fn unfit(state: &State, track: &TrackJob, source: &Source) -> Option<Unfit> {
    if source.standing != Standing::Usable {
        return Some(Unfit::Out(source.standing));
    }
    if track.size.filter(|_| track.held > 0).is_some_and(|size| source.size != size) {
        return Some(Unfit::OtherSize);
    }
    if source.peer.transport() == Transport::Ranges {
        return Some(Unfit::InParts);
    }
    if with_peer(state, &source.peer).count() >= state.run.policy.transfers_per_peer as usize {
        return Some(Unfit::PeerBusy);
    }
    // Two jobs may want one remote file; a peer is asked for it once at a time.
    with_peer(state, &source.peer)
        .filter_map(|open| state.track(open.track)?.source(open.source))
        .any(|asked| asked.path == source.path)
        .then_some(Unfit::Asked)
}

fn with_peer<'a>(state: &'a State, peer: &'a PeerId) -> impl Iterator<Item = &'a Assignment> {
    state.transfers.open.values().filter(move |open| open.peer == *peer)
}

fn ranked(state: &State, track: &TrackJob, at: Timestamp) -> Vec<(Rank, Cost)> {
    let mut ranked: Vec<_> = fitting(state, track)
        .filter(|(_, _, peer)| peer.is_none_or(|peer| peer.rest_until <= at))
        .map(|(id, source, peer)| {
            let backlog = with_peer(state, &source.peer)
                .map(|open| open.size.saturating_sub(state.track(open.track).map_or(0, |t| t.held)))
                .fold(0, u64::saturating_add);
            let remaining = source.size.saturating_sub(track.held);
            let cost = Cost::of(peer.unwrap_or(&Peer::default()), backlog, remaining);
            let rank = Rank {
                refused_size: track.refused_sizes.contains(&source.size),
                suspicions: source.suspicions,
                fits_somehow: source.likeness < FITS_WELL,
                lossy: !source::codec(&source.path).is_some_and(|codec| codec.is_lossless()),
                cost_ms: cost.ms(),
                id,
            };
            (rank, cost)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked
}

/// Every source of a track as it stands at `at`: those that may be asked, the best first, then the
/// others.
pub(crate) fn candidates(state: &State, track: &TrackJob, at: Timestamp) -> Vec<Candidate> {
    let candidate = |id: SourceId, verdict| {
        let source = track.source(id).cloned();
        source.map(|source| Candidate { id, source, verdict })
    };
    let ranked = ranked(state, track, at);
    let others: Vec<_> = (0u32..)
        .map(SourceId)
        .zip(&track.sources)
        .filter(|(id, _)| ranked.iter().all(|(rank, _)| rank.id != *id))
        .filter_map(|(id, source)| {
            let rest = state.peers.get(&source.peer).map(|peer| Unfit::Rests(peer.rest_until));
            candidate(id, Err(unfit(state, track, source).or(rest)?))
        })
        .collect();
    let ranked = ranked.into_iter().filter_map(|(rank, cost)| candidate(rank.id, Ok((rank, cost))));
    ranked.chain(others).collect()
}

fn assign(state: &State, key: TrackKey, track: &TrackJob, at: Timestamp) -> Option<Decision> {
    let ranked = ranked(state, track, at);
    let (best, _) = *ranked.first()?;
    let id = best.id;
    let source = track.source(id)?;
    Some(Decision::RangeAssigned {
        track: key,
        attempt: track.attempt,
        assignment: AssignmentId(state.transfers.last.saturating_add(1)),
        source: id,
        peer: source.peer.clone(),
        path: source.path.clone(),
        size: source.size,
        range: ByteRange { start: track.held, end: source.size },
        overlap: track.held.min(OVERLAP_BYTES),
        choice: Choice {
            candidates: u32::try_from(ranked.len()).unwrap_or(u32::MAX),
            cost_ms: best.cost_ms,
            next_cost_ms: ranked.get(1).map(|(next, _)| next.cost_ms),
            takeover: track.held > 0 && !track.givers.contains(&id),
        },
    })
}

/// From when on somebody else could be asked for what a queued assignment waits for.
pub(crate) fn alternative_at(state: &State, queued: &Assignment) -> Option<Timestamp> {
    alternatives(state, queued).map(|(_, from)| from).min()
}

/// The same of those who told that an upload could start at once.
pub(crate) fn free_alternative_at(state: &State, queued: &Assignment) -> Option<Timestamp> {
    let free = |(peer, _): &(Option<&Peer>, _)| peer.is_some_and(|peer| peer.slot_free);
    alternatives(state, queued).filter(free).map(|(_, from)| from).min()
}

fn alternatives<'a>(
    state: &'a State,
    queued: &'a Assignment,
) -> impl Iterator<Item = (Option<&'a Peer>, Timestamp)> {
    state.track(queued.track).into_iter().flat_map(move |track| {
        fitting(state, track)
            .filter(|(id, source, _)| *id != queued.source && source.peer != queued.peer)
            .map(|(_, _, peer)| {
                let rested = peer.map_or(Timestamp(0), |peer| peer.rest_until);
                (peer, rested.max(track.gather_until))
            })
    })
}

#[cfg(test)]
mod tests {
    use domain::TrackKey;
    use domain::observation::{Observation, TransferEnd, TransferFault};
    use domain::{AssignmentId, Input, JobId};

    use crate::testing::*;

    const TRACK: TrackKey = TrackKey { job: JobId(1), index: 0 };

    #[test]
    fn the_quicker_of_two_peers_is_asked_and_the_choice_is_explained() {
        given([session(), add_job(), fetched(1), with_speed("slow", 10_000, &[file(1, 600_000)])])
            .when(Input::Observation(Observation::TransferEnded {
                track: TRACK,
                assignment: AssignmentId(1),
                end: TransferEnd::Failed(TransferFault::ConnectionCut),
            }))
            .then(
                "AssignmentCut       job=1/1 assignment=1 reason=\"failed\"\n\
                 PeerRested          job=1/1 peer=slsk:slow reason=\"connection cut\" until=00:00:08.000",
            );
    }

    #[test]
    fn who_breaks_off_rests_briefly_and_who_is_away_for_longer() {
        let faults = [
            (TransferFault::ConnectionCut, "connection cut", 8),
            (TransferFault::UploadFailed, "upload failed at the peer", 8),
            (TransferFault::PeerOffline, "peer offline", 35),
            (TransferFault::CannotConnect, "cannot connect", 35),
        ];
        for (fault, said, until) in faults {
            given([session(), add_job(), fetched(1), answered("ada", &[file(1, 600_000)])])
                .when(Input::Observation(Observation::TransferEnded {
                    track: TRACK,
                    assignment: AssignmentId(1),
                    end: TransferEnd::Failed(fault),
                }))
                .then(&format!(
                    "AssignmentCut       job=1/1 assignment=1 reason=\"failed\"\n\
                     PeerRested          job=1/1 peer=slsk:ada reason=\"{said}\" until=00:00:{until:02}.000",
                ));
        }
    }

    #[test]
    fn the_tail_goes_to_the_next_source_from_the_byte_held() {
        let start = [
            session(),
            add_job(),
            fetched(1),
            with_speed("ada", 900_000, &[file(1, 600_000)]),
            with_speed("bob", 500_000, &[file(1, 600_000)]),
            chunk(TRACK, 1, 0, 262_144),
        ];
        given(start)
            .when(Input::Observation(Observation::TransferEnded {
                track: TRACK,
                assignment: AssignmentId(1),
                end: TransferEnd::Failed(TransferFault::ConnectionCut),
            }))
            .then(
                "AssignmentCut       job=1/1 assignment=1 reason=\"failed\"\n\
                 PeerRested          job=1/1 peer=slsk:ada reason=\"connection cut\" until=00:00:10.000\n\
                 RangeAssigned       job=1/1 attempt=0 assignment=2 to=slsk:bob source=1 \
                 range=262144..600000 of 600000 B overlap=65536 candidates=1 cost=675 ms takeover",
            );
    }
}
