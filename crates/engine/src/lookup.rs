//! Metadata lookups: spared where the answer is known, planned, deferred when a service is busy,
//! planned again. What a final failure means for a job is decided in [`crate::job`].

use domain::observation::{Lookup, LookupFault, Observation};
use domain::{Decision, Input, JobId, ReleaseId, Timestamp, TrackKey};

use crate::state::{JobPhase, State, TrackPhase, Waiting};

/// How long a description is taken as it was, in milliseconds: people add a release again within
/// minutes of a cancel, and a mistake that they have put right at MusicBrainz is seen the next day.
const DESCRIPTION_KEEPS_MS: u64 = 24 * 3_600_000;

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

/// The job that has a release's description, the newest one, if it is fresh enough for another job.
pub(crate) fn known(state: &State, release: ReleaseId, at: Timestamp) -> Option<JobId> {
    state
        .jobs
        .iter()
        .filter(|(_, job)| job.release == release && job.target.is_some())
        .filter(|(_, job)| at.ms_since(job.fetched_at) < DESCRIPTION_KEEPS_MS)
        .max_by_key(|(_, job)| job.fetched_at)
        .map(|(id, _)| *id)
}

/// Whatever needs an answer and has not asked, asks; whatever waited long enough asks again.
pub(crate) fn rule(state: &State, at: Timestamp) -> Vec<Decision> {
    let unasked = state.unfinished().filter(|(_, job)| job.hold.is_none()).flat_map(|(id, job)| {
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

/// The answer is here, or nobody wants it any more.
pub(crate) fn closed(state: &mut State, lookup: &Lookup) {
    state.lookups.remove(lookup);
}

pub(crate) fn planned(state: &mut State, lookup: &Lookup) {
    let fresh = Waiting { failures: 0, until: None };
    state.lookups.entry(*lookup).or_insert(fresh).until = None;
}

pub(crate) fn deferred(state: &mut State, lookup: &Lookup, until: Timestamp) {
    if let Some(waiting) = state.lookups.get_mut(lookup) {
        waiting.failures += 1;
        waiting.until = Some(until);
    }
}

/// A hold or a failure that came of a lookup is over when the job goes on: it asks afresh.
pub(crate) fn forgotten(state: &mut State, job: JobId) {
    state.lookups.retain(|lookup, _| job_of(lookup) != job);
}

/// Whatever was deferred for a job is due now.
pub(crate) fn hastened(state: &mut State, job: JobId, at: Timestamp) {
    for (lookup, waiting) in &mut state.lookups {
        if job_of(lookup) == job && waiting.until.is_some() {
            waiting.until = Some(at);
        }
    }
}

/// The job a lookup serves.
pub(crate) fn job_of(lookup: &Lookup) -> JobId {
    match lookup {
        Lookup::Release { job } => *job,
        Lookup::Identity { track, .. } => track.job,
    }
}

#[cfg(test)]
mod tests {
    use domain::Command;

    use super::*;
    use crate::testing::*;

    fn cancel(job: u32) -> Input {
        Input::Command(Command::CancelJob { job: JobId(job) })
    }

    const ADDED: &str = "JobAdded            job=2 release=0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11";

    #[test]
    fn a_release_added_again_within_a_day_is_not_looked_up_again() {
        given([session(), add_job(), fetched(2), cancel(1)])
            .after_ms(DESCRIPTION_KEEPS_MS - 3_000)
            .when(add_job())
            .then(&format!(
                "{ADDED}\nReleaseReused       job=2 from=1\n\
                 SearchPlanned       job=2 search=2 query=\"tin orchard harbour lights\""
            ));
    }

    #[test]
    fn a_description_is_a_day_old_after_a_day_whoever_used_it_since() {
        given([add_job(), fetched(2), cancel(1), add_job(), cancel(2)])
            .after_ms(DESCRIPTION_KEEPS_MS - 4_000)
            .when(add_job())
            .then(
                "JobAdded            job=3 release=0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11\n\
                 LookupPlanned       job=3 of=release",
            );
    }

    #[test]
    fn what_was_never_answered_is_asked_anew() {
        given([add_job(), cancel(1)])
            .when(add_job())
            .then(&format!("{ADDED}\nLookupPlanned       job=2 of=release"));
    }

    #[test]
    fn a_failed_job_that_is_tried_again_asks_anew_even_where_the_answer_is_known() {
        let failed = Input::Observation(Observation::LookupFailed {
            lookup: Lookup::Release { job: JobId(1) },
            fault: LookupFault::NotFound,
        });
        let answer = Observation::ReleaseFetched { job: JobId(2), target: target(1) };
        given([add_job(), failed, add_job(), Input::Observation(answer), cancel(2)])
            .when(Input::Command(Command::RetryJob { job: JobId(1) }))
            .then(
                "JobResumed          job=1 by=person\n\
                 LookupPlanned       job=1 of=release",
            );
    }
}
