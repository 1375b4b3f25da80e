//! Album jobs: accepted, held, resumed, over. What their tracks need is decided by the modules after
//! this one.

use domain::command::Command;
use domain::decision::{CommandRefusal, HoldReason, JobFailure, ResumedBy};
use domain::observation::{
    DiskFault, Lookup, LookupFault, Observation, PublishFault, TransferEnd, TransferFault,
};
use domain::{Decision, Input, JobId, ReleaseId, Target, Timestamp, TrackKey};

use crate::lookup;
use crate::state::{Hold, Job, JobPhase, State, TrackJob, TrackPhase};

pub(crate) fn react(state: &State, input: &Input, at: Timestamp) -> Vec<Decision> {
    match input {
        Input::Command(Command::AddJob { release }) => {
            let taken = state.jobs.iter().find(|(_, job)| {
                job.release == *release
                    && !matches!(job.phase, JobPhase::Failed | JobPhase::Cancelled)
            });
            match taken {
                Some((id, _)) => refuse(CommandRefusal::Duplicate(*id)),
                None => {
                    let last = state.jobs.keys().next_back().map_or(0, |id| id.0);
                    let job = JobId(last.saturating_add(1));
                    let known = lookup::known(state, *release, at);
                    std::iter::once(Decision::JobAdded { job, release: *release })
                        .chain(known.map(|from| Decision::ReleaseReused { job, from }))
                        .collect()
                }
            }
        }
        Input::Command(Command::CancelJob { job: id }) => match state.job(*id) {
            None => refuse(CommandRefusal::UnknownJob(*id)),
            Some(job) if job.phase.is_over() => refuse(CommandRefusal::JobOver(*id)),
            Some(_) => vec![Decision::JobCancelled { job: *id }],
        },
        Input::Command(Command::RetryJob { job: id }) => match state.job(*id) {
            None => refuse(CommandRefusal::UnknownJob(*id)),
            Some(job) if is_waiting(state, *id, job, at) => {
                vec![Decision::JobResumed { job: *id, by: ResumedBy::Person }]
            }
            Some(job) if job.phase.is_over() => refuse(CommandRefusal::JobOver(*id)),
            Some(_) => refuse(CommandRefusal::NothingToRetry(*id)),
        },
        Input::Command(
            Command::SkipDeadLetter { .. }
            | Command::SendChat { .. }
            | Command::MarkChatRead { .. },
        ) => Vec::new(),
        Input::Observation(seen) => observe(state, seen, at),
    }
}

fn refuse(reason: CommandRefusal) -> Vec<Decision> {
    vec![Decision::CommandRefused { reason }]
}

/// Whether a person's "try again" would change anything.
fn is_waiting(state: &State, id: JobId, job: &Job, at: Timestamp) -> bool {
    let rests = |track: &TrackJob| {
        track.phase == TrackPhase::Wanted
            && track.usable().any(|(_, source)| {
                state.peers.get(&source.peer).is_some_and(|peer| peer.rest_until > at)
            })
    };
    let deferred = state
        .lookups
        .iter()
        .any(|(lookup, waiting)| lookup::job_of(lookup) == id && waiting.until.is_some());
    job.phase == JobPhase::Failed
        || job.hold.is_some()
        || deferred
        || (job.is_working()
            && job.tracks.iter().any(|track| track.search_at.is_some() || rests(track)))
}

fn observe(state: &State, seen: &Observation, at: Timestamp) -> Vec<Decision> {
    let hold = |job: JobId, reason: HoldReason, until: Option<Timestamp>| {
        let held = state.job(job).is_none_or(|job| job.phase.is_over() || job.hold.is_some());
        if held { Vec::new() } else { vec![Decision::JobHeld { job, reason, until }] }
    };
    let pause = |job: JobId, fault: &DiskFault| {
        let policy = &state.run.policy;
        let pauses = state.job(job).map_or(0, |job| job.pauses);
        let wait = policy.disk_retry_ms.saturating_mul(1 << pauses.min(16));
        let until = at.plus_ms(wait.min(policy.disk_retry_most_ms));
        hold(job, HoldReason::Disk(fault.clone()), Some(until))
    };
    let is_in = |key: TrackKey, attempt: u16, phase: TrackPhase| {
        state.track(key).is_some_and(|track| track.attempt == attempt && track.phase == phase)
    };
    match seen {
        // A new run may come with more space or another key, so whatever waited is tried again.
        Observation::NodeStarted { .. } => state
            .jobs
            .iter()
            .filter(|(_, job)| !job.phase.is_over() && job.hold.is_some())
            .map(|(id, _)| Decision::JobResumed { job: *id, by: ResumedBy::Start })
            .collect(),
        Observation::LookupFailed { lookup, fault } if !fault.is_passing() => {
            // What was deferred for it is not a matter of the job.
            if !state.lookups.contains_key(lookup) {
                return Vec::new();
            }
            match lookup {
                Lookup::Release { job } => {
                    let reason = JobFailure::Release(fault.clone());
                    vec![Decision::JobFailed { job: *job, reason }]
                }
                // The file cannot be looked up: that is judged in `verify`.
                Lookup::Identity { .. }
                    if matches!(fault, LookupFault::NotFound | LookupFault::Malformed(_)) =>
                {
                    Vec::new()
                }
                Lookup::Identity { track, .. } => {
                    hold(track.job, HoldReason::Lookup(fault.clone()), None)
                }
            }
        }
        Observation::TransferEnded {
            track,
            assignment,
            end: TransferEnd::Failed(TransferFault::Disk(fault)),
        } if state.transfers.open.contains_key(assignment) => pause(track.job, fault),
        Observation::ExamineFailed { track, attempt, fault }
            if is_in(*track, *attempt, TrackPhase::Examining) =>
        {
            pause(track.job, fault)
        }
        Observation::PublishFailed { track, attempt, fault: PublishFault::Disk(fault) }
            if is_in(*track, *attempt, TrackPhase::Publishing) =>
        {
            pause(track.job, fault)
        }
        _ => Vec::new(),
    }
}

/// A job whose pause is over goes on; a job without tracks cannot; a job whose tracks are all done is
/// done.
pub(crate) fn rule(state: &State, at: Timestamp) -> Vec<Decision> {
    for (id, job) in state.unfinished() {
        if job.hold.and_then(|hold| hold.until).is_some_and(|until| until <= at) {
            return vec![Decision::JobResumed { job: *id, by: ResumedBy::Pause }];
        }
        if job.phase == JobPhase::Active && job.tracks.is_empty() {
            return vec![Decision::JobFailed { job: *id, reason: JobFailure::NoTracks }];
        }
        if job.phase == JobPhase::Active
            && job.tracks.iter().all(|track| track.phase == TrackPhase::Completed)
        {
            return vec![Decision::JobCompleted { job: *id }];
        }
    }
    Vec::new()
}

pub(crate) fn wake(state: &State) -> Option<Timestamp> {
    state.unfinished().filter_map(|(_, job)| job.hold.and_then(|hold| hold.until)).min()
}

pub(crate) fn added(state: &mut State, id: JobId, release: ReleaseId) {
    let added = Job {
        release,
        phase: JobPhase::LookingUp,
        hold: None,
        pauses: 0,
        target: None,
        fetched_at: Timestamp::default(),
        tracks: Vec::new(),
        album_searched: false,
    };
    state.jobs.insert(id, added);
    state.unfinished.insert(id);
}

/// A description that comes late or twice changes nothing: the tracks may be under way.
pub(crate) fn described(state: &mut State, id: JobId, target: &Target, fetched_at: Timestamp) {
    if let Some(job) = state.jobs.get_mut(&id)
        && job.phase == JobPhase::LookingUp
    {
        job.phase = JobPhase::Active;
        job.tracks = target.tracks.iter().map(|_| TrackJob::default()).collect();
        job.target = Some(target.clone());
        job.fetched_at = fetched_at;
    }
}

/// The description is another job's; it does not get younger by that.
pub(crate) fn described_as(state: &mut State, id: JobId, from: JobId) {
    let known = state.job(from).and_then(|job| Some((job.target.clone()?, job.fetched_at)));
    if let Some((target, fetched_at)) = known {
        described(state, id, &target, fetched_at);
    }
}

pub(crate) fn held(state: &mut State, id: JobId, until: Option<Timestamp>) {
    with(state, id, |job| {
        job.hold = Some(Hold { until });
        job.pauses = job.pauses.saturating_add(1);
    });
}

/// A track was completed: the next pause is a first one again.
pub(crate) fn progressed(state: &mut State, id: JobId) {
    with(state, id, |job| job.pauses = 0);
}

pub(crate) fn resumed(state: &mut State, id: JobId) {
    with(state, id, |job| {
        job.hold = None;
        if job.phase == JobPhase::Failed {
            job.phase = JobPhase::LookingUp;
        }
    });
}

pub(crate) fn failed(state: &mut State, id: JobId) {
    with(state, id, |job| {
        job.phase = JobPhase::Failed;
        job.target = None;
    });
}

pub(crate) fn cancelled(state: &mut State, id: JobId) {
    with(state, id, |job| {
        job.phase = JobPhase::Cancelled;
        job.hold = None;
        for track in &mut job.tracks {
            if track.phase != TrackPhase::Completed {
                track.start_over();
            }
        }
    });
}

pub(crate) fn completed(state: &mut State, id: JobId) {
    with(state, id, |job| job.phase = JobPhase::Completed);
}

fn with(state: &mut State, id: JobId, change: impl FnOnce(&mut Job)) {
    if let Some(job) = state.jobs.get_mut(&id) {
        change(job);
        if job.phase.is_over() {
            state.unfinished.remove(&id);
        } else {
            state.unfinished.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_job_that_is_over_costs_nothing_until_it_is_tried_again() {
        let failed = || {
            Input::Observation(Observation::LookupFailed {
                lookup: Lookup::Release { job: JobId(1) },
                fault: LookupFault::NotFound,
            })
        };
        let unfinished = |history: &[Input]| {
            let given = given(history.iter().cloned());
            given.engine().state().unfinished.iter().map(|id| id.0).collect::<Vec<_>>()
        };
        let cancel = Input::Command(Command::CancelJob { job: JobId(1) });
        let retry = Input::Command(Command::RetryJob { job: JobId(1) });
        assert_eq!(unfinished(&[add_job(), fetched(1)]), [1]);
        assert_eq!(unfinished(&[add_job(), fetched(1), cancel, add_job()]), [2]);
        assert!(unfinished(&[add_job(), failed()]).is_empty());
        assert_eq!(unfinished(&[add_job(), failed(), retry]), [1]);
    }

    #[test]
    fn the_same_release_is_not_fetched_twice_at_once() {
        given([])
            .when(add_job())
            .then("JobAdded            job=1 release=0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11\nLookupPlanned       job=1 of=release");
        given([add_job()])
            .when(add_job())
            .then("CommandRefused      reason=\"job 1 already has this release\"");
    }

    #[test]
    fn an_unknown_release_fails_and_a_busy_service_is_asked_again() {
        given([add_job()])
            .when(Input::Observation(Observation::LookupFailed {
                lookup: Lookup::Release { job: JobId(1) },
                fault: LookupFault::NotFound,
            }))
            .then("JobFailed           job=1 reason=\"MusicBrainz knows no release with this ID\"");
        given([add_job()])
            .when(Input::Observation(Observation::LookupFailed {
                lookup: Lookup::Release { job: JobId(1) },
                fault: LookupFault::Busy { status: 503, retry_after_ms: Some(5000) },
            }))
            .then(
                "LookupDeferred      job=1 of=release fault=\"busy (HTTP 503)\" until=00:00:07.000",
            );
    }

    #[test]
    fn a_release_without_recordings_is_refused() {
        given([add_job()])
            .when(fetched(0))
            .then("JobFailed           job=1 reason=\"the release lists no recordings\"");
    }

    #[test]
    fn a_cancelled_job_stops_its_transfers_and_keeps_nothing_half_done() {
        given([session(), add_job(), fetched(1), answered("ada", &[file(1, 300_000)])])
            .when(Input::Command(Command::CancelJob { job: JobId(1) }))
            .then("JobCancelled        job=1\nAssignmentCut       job=1/1 assignment=1 reason=\"job stopped\"");
    }
}
