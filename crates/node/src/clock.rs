//! The wall clock, made to never run backwards. The only place that reads it for the engine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Timestamp;

/// Gives the stamps of inputs: the system's time, or, after the system's clock was set back, the last
/// stamp and the time since. So time goes on in any case, and a deadline is reached when it should be.
#[derive(Debug)]
pub(crate) struct Clock {
    base: Timestamp,
    since: Instant,
}

impl Clock {
    /// A clock that continues after `last`, the stamp of the newest recorded event.
    pub(crate) fn after(last: Timestamp) -> Self {
        Self { base: last, since: Instant::now() }
    }

    /// Now.
    pub(crate) fn now(&mut self) -> Timestamp {
        self.at(system(), Instant::now())
    }

    fn at(&mut self, system: Timestamp, instant: Instant) -> Timestamp {
        let elapsed = instant.saturating_duration_since(self.since);
        let steady = Timestamp(self.base.0.saturating_add(micros(elapsed)));
        if system <= steady {
            return steady;
        }
        (self.base, self.since) = (system, instant);
        system
    }

    /// How long until `deadline`; nothing when it has passed.
    pub(crate) fn until(&mut self, deadline: Timestamp) -> Duration {
        Duration::from_micros(deadline.0.saturating_sub(self.now().0))
    }
}

/// What the system says, in microseconds since 1970; zero for a clock before that.
pub(crate) fn system() -> Timestamp {
    Timestamp(micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
        let start = Instant::now();
        let mut clock = Clock { base: Timestamp(5_000_000), since: start };
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(clock.at(Timestamp(9_000_000), at(1)), Timestamp(9_000_000));
        // Set back by five seconds, then read two milliseconds later.
        assert_eq!(clock.at(Timestamp(4_000_000), at(3)), Timestamp(9_002_000));
        assert_eq!(clock.at(Timestamp(4_010_000), at(13)), Timestamp(9_012_000));
        // Set right again.
        assert_eq!(clock.at(Timestamp(9_500_000), at(20)), Timestamp(9_500_000));
    }
}
