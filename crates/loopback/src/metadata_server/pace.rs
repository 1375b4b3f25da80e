//! How fast the real services may be asked. Says only whether a request comes too soon; whether that
//! matters is one of [`super::Faults`].

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most so many requests within any such time.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    within: Duration,
    recent: Mutex<VecDeque<Instant>>,
}

impl Pace {
    /// One request per second.
    pub(super) fn musicbrainz() -> Self {
        Self { most: 1, within: Duration::from_secs(1), recent: Mutex::default() }
    }

    /// Three requests per second.
    pub(super) fn acoustid() -> Self {
        Self { most: 3, within: Duration::from_secs(1), recent: Mutex::default() }
    }

    /// Counts a request and says whether it comes too soon. Refused requests count too, as they do at
    /// MusicBrainz: who keeps asking stays refused.
    pub(super) fn is_too_soon(&self, now: Instant) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|&at| now.duration_since(at) >= self.within) {
            recent.pop_front();
        }
        recent.push_back(now);
        recent.len() > self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_within_a_second_are_well_and_four_are_not() {
        let (pace, began) = (Pace::acoustid(), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        let soon: Vec<_> = [0, 100, 200, 900, 1950, 2000].map(|ms| pace.is_too_soon(at(ms))).into();
        assert_eq!(soon, [false, false, false, true, false, false]);
    }

    #[test]
    fn who_keeps_asking_stays_refused() {
        let (pace, began) = (Pace::musicbrainz(), Instant::now());
        let at = |ms| began + Duration::from_millis(ms);
        let soon: Vec<_> = [0, 900, 1800, 2800].map(|ms| pace.is_too_soon(at(ms))).into();
        assert_eq!(soon, [false, true, true, false]);
    }
}
