//! What must be true of any history, read from the log alone and apart from the code that wrote it.

use std::collections::{BTreeMap, BTreeSet};

use domain::chunk::Digest;
use domain::decision::Decision;
use domain::observation::Observation;
use domain::{
    AssignmentId, Envelope, Event, Input, JobId, PeerId, Policy, RecordingId, Timestamp, TrackKey,
};
use engine::Engine;

use files::Files;

mod files;

#[cfg(test)]
mod tests;

/// Replay: stepping the recorded inputs yields the recorded decisions.
///
/// # Errors
/// The first step that differs.
pub fn replays(log: &[Envelope]) -> Result<(), String> {
    let mut engine = Engine::new();
    let mut rest = log.iter().peekable();
    while let Some(entered) = rest.next() {
        let Event::Input(input) = &entered.event else {
            return Err(format!("{} is a decision without an input", entered.seq));
        };
        let mut recorded = vec![entered.event.clone()];
        while let Some(next) = rest.next_if(|next| next.cause == entered.seq) {
            recorded.push(next.event.clone());
        }
        let step = engine.step(input.clone(), entered.at);
        if step.events != recorded {
            return Err(format!(
                "at {}: recorded {recorded:#?}, replayed {:#?}",
                entered.seq, step.events
            ));
        }
    }
    Ok(())
}

/// Conservation: the bytes of a published file come from accepted chunks that follow each other
/// without a gap or overlap, each of which arrived before, with the same digest, by an assignment that
/// was open then and when it was accepted. The file was whole and proved before it was published, and
/// nothing of an attempt that was given up or refused, or of a cancelled job, is taken up again.
///
/// # Errors
/// The first violation.
pub fn conserves(log: &[Envelope]) -> Result<(), String> {
    let mut files = Files::default();
    log.iter().try_for_each(|Envelope { seq, event, .. }| {
        files.take(event).map_err(|wrong| format!("{seq}: {wrong}"))
    })
}

/// Limits: open assignments and searches stay within policy at every moment.
///
/// # Errors
/// The first violation.
pub fn keeps_limits(log: &[Envelope], policy: &Policy) -> Result<(), String> {
    let mut open: BTreeMap<AssignmentId, (PeerId, TrackKey)> = BTreeMap::new();
    let mut searches = BTreeMap::new();
    let mut sent = Vec::new();
    let mut asked: BTreeMap<&str, (Timestamp, JobId)> = BTreeMap::new();
    for Envelope { seq, at, event, .. } in log {
        match event {
            Event::Decision(Decision::RangeAssigned { assignment, peer, track, .. }) => {
                if open.values().any(|(_, other)| other == track) {
                    return Err(format!("{seq}: two sources at once for {track}"));
                }
                open.insert(*assignment, (peer.clone(), *track));
                let with_peer = open.values().filter(|(other, _)| other == peer).count();
                if with_peer > policy.transfers_per_peer as usize
                    || open.len() > policy.transfers as usize
                {
                    return Err(format!("{seq}: {with_peer} with {peer}, {} in all", open.len()));
                }
            }
            Event::Decision(Decision::AssignmentCut { assignment, .. }) => {
                open.remove(assignment);
            }
            Event::Decision(Decision::PeerRested { peer, until, .. })
                if *until < at.plus_ms(policy.peer_rest_ms) =>
            {
                return Err(format!("{seq}: {peer} failed and is left no rest"));
            }
            Event::Decision(
                Decision::FileAssembled { track, .. } | Decision::AttemptDropped { track, .. },
            ) => open.retain(|_, (_, other)| other != track),
            Event::Decision(Decision::SearchPlanned { job, search, query, .. }) => {
                if let Some((before, of)) = asked.insert(query, (*at, *job))
                    && of == *job
                    && at.ms_since(before)
                        < policy.search_again_least_ms.min(policy.search_repeat_ms)
                {
                    return Err(format!("{seq}: the query {query:?} is repeated too soon"));
                }
                searches.insert(*search, *job);
                sent.retain(|t| at.ms_since(*t) < policy.search_window_ms);
                sent.push(*at);
                if searches.len() > policy.searches_in_flight as usize
                    || sent.len() > policy.searches_per_window as usize
                {
                    return Err(format!("{seq}: {} searches, {} sent", searches.len(), sent.len()));
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
    }
    Ok(())
}

/// Memory: what was refused for a recording is never accepted for it, and what is completed is never
/// fetched again.
///
/// # Errors
/// The first violation.
pub fn forgets_no_refusal(log: &[Envelope]) -> Result<(), String> {
    let mut recordings: BTreeMap<TrackKey, RecordingId> = BTreeMap::new();
    // Without a recording: right for nothing.
    let mut refused: BTreeSet<(Option<RecordingId>, Digest)> = BTreeSet::new();
    let mut examined: BTreeMap<(TrackKey, u16), Digest> = BTreeMap::new();
    let mut completed = BTreeSet::new();
    for Envelope { seq, event, .. } in log {
        match event {
            Event::Input(Input::Observation(Observation::ReleaseFetched { job, target })) => {
                for (index, track) in (0u16..).zip(&target.tracks) {
                    recordings.insert(TrackKey { job: *job, index }, track.recording);
                }
            }
            Event::Decision(Decision::ReleaseReused { job, from }) => {
                let known: Vec<_> = recordings
                    .range(
                        TrackKey { job: *from, index: 0 }..=TrackKey {
                            job: *from,
                            index: u16::MAX,
                        },
                    )
                    .map(|(track, recording)| (TrackKey { job: *job, ..*track }, *recording))
                    .collect();
                recordings.extend(known);
            }
            Event::Input(Input::Observation(Observation::FileExamined {
                track,
                attempt,
                digest,
                ..
            })) => {
                examined.insert((*track, *attempt), *digest);
            }
            Event::Decision(Decision::TrackRefused { track, digest, reason, .. }) => {
                let about = recordings.get(track).map(|recording| reason.about(*recording));
                refused.extend(about.map(|about| (about, *digest)));
            }
            Event::Decision(Decision::TrackVerified { track, attempt, .. }) => {
                let Some((recording, digest)) =
                    recordings.get(track).zip(examined.get(&(*track, *attempt)))
                else {
                    return Err(format!("{seq}: {track} is verified and was not examined"));
                };
                let is_refused = |about| refused.contains(&(about, *digest));
                if is_refused(None) || is_refused(Some(*recording)) {
                    return Err(format!("{seq}: {track} is verified with a refused file"));
                }
            }
            Event::Decision(Decision::TrackCompleted { track, .. })
                if !completed.insert(*track) =>
            {
                return Err(format!("{seq}: {track} is completed twice"));
            }
            Event::Decision(Decision::RangeAssigned { track, .. }) if completed.contains(track) => {
                return Err(format!("{seq}: {track} is fetched again"));
            }
            _ => {}
        }
    }
    Ok(())
}
