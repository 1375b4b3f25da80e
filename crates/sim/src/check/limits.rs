//! How much may be under way at once, and how often is searched.

use std::collections::{BTreeMap, BTreeSet};

use domain::decision::Decision;
use domain::id::Transport;
use domain::observation::Observation;
use domain::{AssignmentId, Envelope, Event, Input, JobId, PeerId, Policy, Timestamp, TrackKey};

use super::{Broken, Law, each};

/// Parts that a node of the mesh is asked for at once.
const PARTS_AHEAD: u32 = 4;

fn is_stream(peer: &PeerId) -> bool {
    peer.transport() == Transport::Stream
}

/// Limits: open assignments and searches stay within policy at every moment.
///
/// # Errors
/// The first violation.
pub fn keeps_limits(log: &[Envelope], policy: &Policy) -> Result<(), Broken> {
    let mut open: BTreeMap<AssignmentId, (PeerId, TrackKey, &String)> = BTreeMap::new();
    let mut searches = BTreeMap::new();
    let mut sent: Vec<Timestamp> = Vec::new();
    // Tracks whose content is known: they may come from many at once.
    let mut parts: BTreeSet<TrackKey> = BTreeSet::new();
    let mut asked: BTreeMap<&str, (Timestamp, JobId)> = BTreeMap::new();
    each(Law::Limits, log, |Envelope { at, event, .. }| {
        match event {
            Event::Decision(Decision::RangeAssigned { assignment, peer, path, track, .. }) => {
                if open.values().any(|(other, of, _)| {
                    of == track && (!parts.contains(track) || is_stream(peer) && other == peer)
                }) {
                    return Err(format!("two sources at once for {track}"));
                }
                if is_stream(peer) && open.values().any(|it| it.0 == *peer && it.2 == path) {
                    return Err(format!("{peer} is asked twice at once for {path:?}"));
                }
                open.insert(*assignment, (peer.clone(), *track, path));
                let with_peer = open.values().filter(|(other, ..)| other == peer).count();
                let most = if is_stream(peer) { policy.transfers_per_peer } else { PARTS_AHEAD };
                if with_peer > most as usize || open.len() > policy.transfers as usize {
                    return Err(format!("{with_peer} with {peer}, {} in all", open.len()));
                }
            }
            Event::Decision(Decision::AssignmentCut { assignment, .. }) => {
                open.remove(assignment);
            }
            Event::Decision(
                Decision::FileAssembled { track, .. } | Decision::AttemptDropped { track, .. },
            ) => {
                open.retain(|_, (_, other, _)| other != track);
                parts.remove(track);
            }
            Event::Decision(Decision::ContentAdopted { track, .. }) => {
                parts.insert(*track);
            }
            // What is open is sent again by a new run.
            Event::Input(Input::Observation(Observation::NodeStarted { .. })) => {
                sent.extend(searches.keys().map(|_| *at));
            }
            Event::Decision(Decision::SearchPlanned { job, search, query, .. }) => {
                if let Some((before, of)) = asked.insert(query, (*at, *job))
                    && of == *job
                    && at.ms_since(before)
                        < policy.search_again_least_ms.min(policy.search_repeat_ms)
                {
                    return Err(format!("the query {query:?} is repeated too soon"));
                }
                searches.insert(*search, *job);
                sent.retain(|t| at.ms_since(*t) < policy.search_window_ms);
                sent.push(*at);
                if searches.len() > policy.searches_in_flight as usize
                    || sent.len() > policy.searches_per_window as usize
                {
                    return Err(format!("{} searches, {} sent", searches.len(), sent.len()));
                }
            }
            Event::Input(Input::Observation(Observation::SearchEnded { search, .. })) => {
                searches.remove(search);
            }
            Event::Decision(
                Decision::JobCancelled { job }
                | Decision::JobFailed { job, .. }
                | Decision::JobCompleted { job },
            ) => searches.retain(|_, of| of != job),
            _ => {}
        }
        Ok(())
    })?;
    stops(log)
}

/// Nothing is fetched for a job that is held or over, nor of a file that was given up.
fn stops(log: &[Envelope]) -> Result<(), Broken> {
    let mut open: BTreeMap<AssignmentId, TrackKey> = BTreeMap::new();
    let mut stopped = BTreeSet::new();
    each(Law::Limits, log, |envelope| {
        match &envelope.event {
            // The step before is over, and what it should have cut is cut.
            Event::Input(_) => {
                if let Some(track) = open.values().find(|track| stopped.contains(&track.job)) {
                    return Err(format!("{track} is still fetched for a job that has stopped"));
                }
            }
            Event::Decision(Decision::RangeAssigned { assignment, track, .. }) => {
                open.insert(*assignment, *track);
            }
            Event::Decision(Decision::AssignmentCut { assignment, .. }) => {
                open.remove(assignment);
            }
            Event::Decision(Decision::FileAssembled { track, .. }) => {
                open.retain(|_, other| other != track);
            }
            Event::Decision(Decision::AttemptDropped { track, .. }) => {
                if open.values().any(|other| other == track) {
                    return Err(format!("{track} is given up and still fetched"));
                }
            }
            Event::Decision(
                Decision::JobHeld { job, .. }
                | Decision::JobCancelled { job }
                | Decision::JobFailed { job, .. }
                | Decision::JobCompleted { job },
            ) => {
                stopped.insert(*job);
            }
            Event::Decision(Decision::JobResumed { job, .. }) => {
                stopped.remove(job);
            }
            Event::Decision(_) => {}
        }
        Ok(())
    })
}
