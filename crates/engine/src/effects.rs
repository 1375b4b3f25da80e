//! Which effect a decision asks for: the only place. After a restart, [`unanswered`] asks again for
//! whatever has no answer yet; doing an effect twice does no harm.

use domain::decision::CutReason;
use domain::effect::Tags;
use domain::observation::Lookup;
use domain::{Decision, Effect, JobId, TrackKey};

use crate::state::{Job, State, TrackPhase};

/// Effects of one decision, given the state that it led to.
pub(crate) fn of(state: &State, decision: &Decision, out: &mut Vec<Effect>) {
    match decision {
        Decision::LookupPlanned { lookup } => out.extend(look_up(state, lookup)),
        Decision::SearchPlanned { job, search, track: _, query } => out.push(Effect::Search {
            job: *job,
            search: *search,
            query: query.clone(),
            open_ms: state.run.policy.search_open_ms,
        }),
        Decision::RangeAssigned {
            track,
            attempt,
            assignment,
            source: _,
            peer,
            path,
            size,
            range,
            overlap,
            choice: _,
        } => out.push(Effect::FetchRange {
            content: state.track(*track).and_then(|it| Some(it.swarm.as_ref()?.content)),
            track: *track,
            attempt: *attempt,
            assignment: *assignment,
            peer: peer.clone(),
            path: path.clone(),
            size: *size,
            range: *range,
            overlap: *overlap,
        }),
        Decision::AssignmentCut { assignment, reason, .. } => match reason {
            // Nothing is left to cancel.
            CutReason::Failed | CutReason::Restarted | CutReason::Complete => {}
            CutReason::Stalled
            | CutReason::QueuedTooLong
            | CutReason::BadContent
            | CutReason::JobStopped
            | CutReason::Overtaken => {
                out.push(Effect::CancelTransfer { assignment: *assignment });
            }
        },
        Decision::OffsetChosen { assignment, range, .. } => {
            out.push(Effect::BeginAt { assignment: *assignment, range: *range });
        }
        Decision::EndMoved { assignment, end, .. } => {
            out.push(Effect::MoveEnd { assignment: *assignment, end: *end });
        }
        Decision::FileAssembled { track, attempt, size } => {
            out.push(Effect::Examine { track: *track, attempt: *attempt, size: *size });
        }
        Decision::TrackVerified { track, .. } => out.extend(publish(state, *track)),
        Decision::TrackRefused { track, attempt, .. }
        | Decision::AttemptDropped { track, attempt, .. } => {
            out.push(Effect::Discard { track: *track, attempt: *attempt });
        }
        Decision::TrackCompleted { track, attempt, path } => {
            out.push(Effect::Share { path: path.clone() });
            out.push(Effect::Discard { track: *track, attempt: *attempt });
        }
        Decision::JobResumed { job, by: _ } => {
            if let Some(held) = state.job(*job) {
                verifying(state, *job, held, out);
            }
        }
        Decision::JobCancelled { job } => {
            if let Some(cancelled) = state.job(*job) {
                trash(*job, cancelled, out);
            }
        }
        Decision::ChatPlanned { chat, peer, text } => {
            out.push(Effect::SendChat { chat: *chat, peer: peer.clone(), text: text.clone() })
        }
        Decision::ChatTaken { id } => out.push(Effect::AcknowledgeChat { id: *id }),
        Decision::JobAdded { .. }
        | Decision::ReleaseReused { .. }
        | Decision::CommandRefused { .. }
        | Decision::LookupDeferred { .. }
        | Decision::JobHeld { .. }
        | Decision::JobFailed { .. }
        | Decision::JobCompleted { .. }
        | Decision::TrackWaiting { .. }
        | Decision::SourceFound { .. }
        | Decision::SourceResized { .. }
        | Decision::SourceDropped { .. }
        | Decision::SourceSetAside { .. }
        | Decision::SourceSuspected { .. }
        | Decision::SourceReturned { .. }
        | Decision::PeerRested { .. }
        | Decision::WaitExtended { .. }
        | Decision::ContentAdopted { .. }
        | Decision::SourceSilent { .. }
        | Decision::ChunkAccepted { .. }
        | Decision::ChunkRefused { .. } => {}
    }
}

/// Effects of recorded decisions that no recorded observation answers, transfers left out.
pub(crate) fn unanswered(state: &State) -> Vec<Effect> {
    let mut out = Vec::new();
    for (lookup, waiting) in &state.lookups {
        if waiting.until.is_none() {
            out.extend(look_up(state, lookup));
        }
    }
    for (search, open) in &state.searches.open {
        out.push(Effect::Search {
            job: open.job,
            search: *search,
            query: open.query.clone(),
            open_ms: state.run.policy.search_open_ms,
        });
    }
    for (id, job) in &state.jobs {
        // Held jobs get theirs when they go on.
        if job.hold.is_none() && !job.phase.is_over() {
            verifying(state, *id, job, &mut out);
        }
        trash(*id, job, &mut out);
        for track in job.tracks.iter().filter(|track| track.phase == TrackPhase::Completed) {
            out.extend(track.path.clone().map(|path| Effect::Share { path }));
        }
    }
    out
}

fn look_up(state: &State, lookup: &Lookup) -> Option<Effect> {
    match lookup {
        Lookup::Release { job } => {
            let release = state.job(*job)?.release;
            Some(Effect::FetchRelease { job: *job, release })
        }
        Lookup::Identity { track, attempt } => {
            let music = state.track(*track)?.examined.as_ref()?;
            Some(Effect::Identify {
                track: *track,
                attempt: *attempt,
                duration_ms: music.duration_ms,
                fingerprint: music.fingerprint.clone(),
            })
        }
    }
}

/// What the tracks of a job wait for between assembly and library.
fn verifying(state: &State, id: JobId, job: &Job, out: &mut Vec<Effect>) {
    for (index, track) in (0u16..).zip(&job.tracks) {
        let key = TrackKey { job: id, index };
        match track.phase {
            TrackPhase::Examining => out.extend(track.size.map(|size| Effect::Examine {
                track: key,
                attempt: track.attempt,
                size,
            })),
            TrackPhase::Publishing => out.extend(publish(state, key)),
            TrackPhase::Wanted
            | TrackPhase::Fetching(_)
            | TrackPhase::Identifying
            | TrackPhase::Completed => {}
        }
    }
}

fn trash(id: JobId, job: &Job, out: &mut Vec<Effect>) {
    for (index, track) in (0u16..).zip(&job.tracks) {
        let key = TrackKey { job: id, index };
        out.extend(
            track.trash.iter().map(|attempt| Effect::Discard { track: key, attempt: *attempt }),
        );
    }
}

/// Nothing for a file that was not proved: our rules verify none, but a history may say so.
fn publish(state: &State, key: TrackKey) -> Option<Effect> {
    let target = state.job(key.job)?.target.as_ref()?;
    let wanted = target.tracks.get(usize::from(key.index))?;
    let track = state.track(key)?;
    let mut release = target.clone();
    release.tracks.clear();
    Some(Effect::Publish {
        track: key,
        attempt: track.attempt,
        digest: track.digest?,
        path: track.path.clone()?,
        tags: Box::new(Tags {
            release,
            track: wanted.clone(),
            tracks_on_medium: u16::try_from(target.tracks_on_medium(wanted.medium))
                .unwrap_or(u16::MAX),
            acoustid: track.acoustid?,
        }),
    })
}
