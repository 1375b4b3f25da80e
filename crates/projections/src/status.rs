//! How a follower is doing, as told to people: where it stands, how fast it is, and what is left. Who
//! keeps it is [`crate::follow`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use domain::Seq;

/// How long back the recent past goes.
const RECENT: Duration = Duration::from_secs(10);
/// A rate over less than this says nothing.
const LEAST: Duration = Duration::from_millis(50);

/// What a follower is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It folds in what is appended.
    Following,
    /// It folds everything anew beside the rows that answer.
    Rebuilding {
        /// How far that is.
        to: Seq,
    },
    /// It cannot go on.
    Stopped,
}

/// How a read model is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// The version of the rows that answer; `None` before there are any.
    pub version: Option<u32>,
    /// The last event that they take into account.
    pub position: Seq,
    /// Durable events beyond that.
    pub lag: u64,
    /// Events folded in per second over the last 10 s, those of a rebuild included.
    pub rate_per_s: f64,
    /// Time until nothing is left to fold, at that rate; `None` while it stands still.
    pub seconds_left: Option<f64>,
    /// What the follower is doing.
    pub state: State,
    /// Why it has stopped, or why the last rebuild was not put in service.
    pub reason: Option<String>,
    /// Events that it has gone on without and nobody has acknowledged.
    pub dead_letters: u64,
}

/// Time until `left` events are folded in.
pub(crate) fn seconds_left(left: u64, rate_per_s: f64) -> Option<f64> {
    match left {
        0 => Some(0.0),
        left => (rate_per_s > 0.0).then(|| left as f64 / rate_per_s),
    }
}

/// Events folded in over the recent past.
pub(crate) struct Pace {
    since: Instant,
    folded: VecDeque<(Instant, u64)>,
}

impl Pace {
    pub(crate) const fn new(since: Instant) -> Self {
        Self { since, folded: VecDeque::new() }
    }

    pub(crate) fn note(&mut self, now: Instant, events: u64) {
        self.forget(now);
        self.folded.push_back((now, events));
    }

    /// Events per second.
    pub(crate) fn per_s(&mut self, now: Instant) -> f64 {
        self.forget(now);
        let over = now.saturating_duration_since(self.since).clamp(LEAST, RECENT);
        let events: u64 = self.folded.iter().map(|(_, events)| events).sum();
        events as f64 / over.as_secs_f64()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.folded.front()
            && now.saturating_duration_since(*at) > RECENT
        {
            self.folded.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_recent_past() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(start);
        pace.note(after(1), 300);
        pace.note(after(2), 100);
        assert_eq!(pace.per_s(after(4)), 100.0);
        assert_eq!(pace.per_s(after(10)), 40.0);
        assert_eq!(pace.per_s(after(12)), 10.0);
        assert_eq!(pace.per_s(after(13)), 0.0);
    }

    #[test]
    fn time_left_is_known_while_something_moves() {
        assert_eq!(seconds_left(0, 0.0), Some(0.0));
        assert_eq!(seconds_left(50, 100.0), Some(0.5));
        assert_eq!(seconds_left(50, 0.0), None);
    }
}
