//! The searches that run and those that wait, in the order in which they would be sent if nothing else
//! happened. It is told, not obeyed: what is sent is decided by the rule, anew each time.

use std::collections::VecDeque;

use domain::search_queue::QueuedSearch;
use domain::{SearchQueue, Timestamp};

use super::{again_from, query, wishes};
use crate::state::State;

/// How things stand at `at`.
pub(crate) fn queue(state: &State, at: Timestamp) -> SearchQueue {
    let policy = &state.run.policy;
    let window = policy.search_window_ms;
    let mut sent = state.searches.sent.clone();
    while sent.front().is_some_and(|sent| sent.plus_ms(window) <= at) {
        sent.pop_front();
    }
    let running = state.searches.open.values();
    let open = running
        .map(|open| QueuedSearch {
            job: open.job,
            track: open.track,
            query: open.query.clone(),
            not_before: None,
        })
        .collect();
    let (count, most) = (sent.len(), policy.searches_per_window);
    let mut waiting = waiting(state, at);
    let unlisted = waiting.len().saturating_sub(SearchQueue::LISTED);
    waiting.truncate(SearchQueue::LISTED);
    spread(&mut waiting, sent, most as usize, window);
    SearchQueue {
        at,
        session: state.run.session,
        sent: count,
        most,
        window_ms: window,
        open_most: policy.searches_in_flight,
        open,
        waiting,
        unlisted,
    }
}

/// What waits, as if there were no budget.
fn waiting(state: &State, at: Timestamp) -> Vec<QueuedSearch> {
    let mut waiting: Vec<_> = wishes(state)
        .map(|wish| {
            let words = (wish.job, query(state, &wish));
            let due = wish.since.max(again_from(state, &words)).max(at);
            let (job, query) = words;
            QueuedSearch { job, track: wish.track, query, not_before: Some(due) }
        })
        .collect();
    waiting.sort_by_key(|search| search.not_before);
    waiting
}

/// Puts each off until the budget allows it beside those before it.
fn spread(
    waiting: &mut [QueuedSearch],
    mut sent: VecDeque<Timestamp>,
    most: usize,
    window_ms: u64,
) {
    let mut latest = sent.back().copied().unwrap_or_default();
    for search in waiting {
        let allowed = most.checked_sub(1).and_then(|back| sent.iter().rev().nth(back));
        let allowed = allowed.map_or(Timestamp(0), |first| first.plus_ms(window_ms));
        let due = search.not_before.unwrap_or_default().max(allowed);
        search.not_before = Some(due);
        latest = latest.max(due);
        sent.push_back(latest);
    }
}

#[cfg(test)]
mod tests {
    use domain::{Command, Input, JobId, Observation, Policy, ReleaseId};

    use super::*;
    use crate::Engine;
    use crate::testing::{session, target};

    const TRACKS: u16 = 40;

    /// An engine that is logged in.
    fn engine(policy: Policy) -> Engine {
        let mut engine = Engine::new().under(policy);
        let _ = engine.step(session(), Timestamp(1));
        engine
    }

    /// A job of tracks with a title each, which nobody offers.
    fn add(engine: &mut Engine, job: u8, at: Timestamp) {
        let mut target = target(TRACKS);
        target.release = ReleaseId([job; 16]);
        for (track, number) in target.tracks.iter_mut().zip(1..) {
            track.title = format!("Tone {number}");
        }
        let _ = engine.step(Input::Command(Command::AddJob { release: target.release }), at);
        let fetched = Observation::ReleaseFetched { job: JobId(job.into()), target };
        let _ = engine.step(Input::Observation(fetched), at);
    }

    fn end_all(engine: &mut Engine, at: Timestamp) {
        let open = engine.state().searches.open.iter();
        let open: Vec<_> = open.map(|(id, open)| (*id, open.job)).collect();
        for (search, job) in open {
            let _ = engine.step(Input::Observation(Observation::SearchEnded { job, search }), at);
        }
    }

    #[test]
    fn what_waits_is_told_when_it_may_go_and_goes_then() {
        let policy = Policy { searches_per_window: 5, ..Policy::default() };
        let mut engine = engine(policy);
        let begun = Timestamp(1_000_000);
        add(&mut engine, 1, begun);
        let queue = engine.searches(begun);
        assert_eq!((queue.sent, queue.open.len(), queue.waiting.len()), (1, 1, 0));
        assert_eq!(queue.open[0].query, "tin orchard harbour lights");

        // The album was searched for in vain; all tracks want a search, two at a time.
        let mut now = begun.plus_ms(1_000);
        end_all(&mut engine, now);
        let queue = engine.searches(now);
        assert_eq!((queue.sent, queue.open.len(), queue.waiting.len()), (3, 2, 38));
        let told: Vec<_> = queue.waiting.iter().map(|search| search.not_before.unwrap()).collect();
        assert_eq!(told[..3], [now, now, begun.plus_ms(policy.search_window_ms)]);
        assert!(told.is_sorted());

        // It comes about like that when each search takes a second.
        let mut sent = Vec::new();
        while sent.len() < 12 {
            let before = engine.state().searches.last;
            now = now.plus_ms(1_000);
            end_all(&mut engine, now);
            let _ = engine.step(Input::Observation(Observation::DeadlineReached), now);
            sent.extend((before..engine.state().searches.last).map(|_| now));
        }
        for (sent, told) in sent.iter().zip(told) {
            assert!(*sent >= told && *sent <= told.plus_ms(5_000), "{sent:?} {told:?}");
        }
    }

    #[test]
    fn a_long_queue_is_counted_and_not_listed() {
        let mut engine = engine(Policy { searches_per_window: 100, ..Policy::default() });
        let mut at = Timestamp(1_000_000);
        for job in 1..5 {
            add(&mut engine, job, at);
        }
        // Four albums are searched for, and some tracks of the first of them.
        while engine.state().jobs.values().any(|job| !job.album_searched) {
            at = at.plus_ms(1_000);
            end_all(&mut engine, at);
        }
        end_all(&mut engine, at.plus_ms(1));
        let queue = engine.searches(at.plus_ms(1));
        let all = 4 * usize::from(TRACKS) - queue.open.len();
        assert_eq!((queue.waiting.len(), queue.unlisted), (SearchQueue::LISTED, all - 100));
        assert_eq!(queue.sent as u64, engine.state().searches.last);
    }

    #[test]
    fn a_budget_of_nothing_is_no_reason_to_panic() {
        let mut engine = engine(Policy { searches_per_window: 0, ..Policy::default() });
        add(&mut engine, 1, Timestamp(1_000_000));
        assert!(engine.searches(Timestamp(2_000_000)).waiting.len() <= SearchQueue::LISTED);
    }
}
