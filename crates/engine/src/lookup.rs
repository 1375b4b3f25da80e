//! Metadata lookups: planned, deferred when a service is busy, planned again. What a final failure
//! means for a job is decided in [`crate::job`].

use domain::decision::ResumedBy;
use domain::observation::{Lookup, LookupFault, Observation};
use domain::{Decision, Event, Input, JobId, Timestamp, TrackKey};

use crate::state::{JobPhase, State, TrackPhase, Waiting};

/// The job a lookup serves.
pub(crate) fn job_of(lookup: &Lookup) -> JobId {
    match lookup {
        Lookup::Release { job } => *job,
        Lookup::Identity { track, .. } => track.job,
    }
}

/// Answers a passing fault: later, and later still each time, and never sooner than asked to.
pub(crate) fn react(state: &State, input: &Input, at: Timestamp) -> Vec<Decision> {
    let Input::Observation(Observation::LookupFailed { lookup, fault }) = input else {
        return Vec::new();
    };
    // An answer that makes no sense for one file may make sense again later; for a release it is
    // shown to a person.
    let garbled = matches!((lookup, fault), (Lookup::Identity { .. }, LookupFault::Malformed(_)));
    let passing = fault.is_passing() || garbled;
    let Some(waiting) = state.lookups.get(lookup).filter(|_| passing) else {
        return Vec::new();
    };
    let policy = &state.run.policy;
    let wait = policy
        .lookup_retry_ms
        .saturating_mul(1 << waiting.failures.min(16))
        .min(policy.lookup_retry_most_ms);
    let asked = match fault {
        LookupFault::Busy { retry_after_ms, .. } => retry_after_ms.unwrap_or(0),
        _ => 0,
    };
    // A service may ask for any wait; an hour is the longest that is believed.
    let until = at.plus_ms(wait.max(asked.min(3_600_000)));
    vec![Decision::LookupDeferred { lookup: *lookup, fault: fault.clone(), until }]
}

/// Whatever needs an answer and has not asked, asks; whatever waited long enough asks again.
pub(crate) fn rule(state: &State, at: Timestamp) -> Vec<Decision> {
    let unasked = state.jobs.iter().filter(|(_, job)| job.hold.is_none()).flat_map(|(id, job)| {
        let release = (job.phase == JobPhase::LookingUp).then_some(Lookup::Release { job: *id });
        let identities = (0u16..).zip(&job.tracks).filter_map(|(index, track)| {
            let key = TrackKey { job: *id, index };
            (track.phase == TrackPhase::Identifying)
                .then_some(Lookup::Identity { track: key, attempt: track.attempt })
        });
        release.into_iter().chain(identities)
    });
    if let Some(lookup) = unasked.into_iter().find(|lookup| !state.lookups.contains_key(lookup)) {
        return vec![Decision::LookupPlanned { lookup }];
    }
    let due = state.lookups.iter().find(|(_, waiting)| waiting.until.is_some_and(|t| t <= at));
    due.map(|(lookup, _)| Decision::LookupPlanned { lookup: *lookup }).into_iter().collect()
}

pub(crate) fn wake(state: &State) -> Option<Timestamp> {
    state.lookups.values().filter_map(|waiting| waiting.until).min()
}

pub(crate) fn evolve(state: &mut State, event: &Event, at: Timestamp) {
    match event {
        Event::Input(Input::Observation(Observation::ReleaseFetched { job, .. })) => {
            state.lookups.remove(&Lookup::Release { job: *job });
        }
        Event::Input(Input::Observation(Observation::RecordingIdentified {
            track,
            attempt,
            ..
        })) => {
            state.lookups.remove(&Lookup::Identity { track: *track, attempt: *attempt });
        }
        Event::Decision(Decision::LookupPlanned { lookup }) => {
            let fresh = Waiting { failures: 0, until: None };
            state.lookups.entry(*lookup).or_insert(fresh).until = None;
        }
        Event::Decision(Decision::LookupDeferred { lookup, until, .. }) => {
            if let Some(waiting) = state.lookups.get_mut(lookup) {
                waiting.failures += 1;
                waiting.until = Some(*until);
            }
        }
        // A hold or a failure that came of a lookup is over when the job goes on: ask afresh.
        Event::Decision(Decision::JobHeld { job, .. } | Decision::JobFailed { job, .. }) => {
            state.lookups.retain(|lookup, _| job_of(lookup) != *job);
        }
        Event::Decision(Decision::JobCancelled { job }) => {
            state.lookups.retain(|lookup, _| job_of(lookup) != *job);
        }
        Event::Decision(Decision::JobResumed { job, by: ResumedBy::Person | ResumedBy::Start }) => {
            for (lookup, waiting) in &mut state.lookups {
                if job_of(lookup) == *job && waiting.until.is_some() {
                    waiting.until = Some(at);
                }
            }
        }
        Event::Decision(
            Decision::AttemptDropped { track, attempt, .. }
            | Decision::TrackRefused { track, attempt, .. },
        ) => {
            state.lookups.remove(&Lookup::Identity { track: *track, attempt: *attempt });
        }
        Event::Input(_) | Event::Decision(_) => {}
    }
}
