//! The wall clock, made to never run backwards within one run. The only place that reads it for the
//! engine.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;

/// Gives the stamps of inputs.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Timestamp,
}

impl Clock {
    /// A clock that continues after `last`, the stamp of the newest recorded event.
    pub(crate) fn after(last: Timestamp) -> Self {
        Self { last }
    }

    /// Now, or the last stamp given when the system's clock was set back.
    pub(crate) fn now(&mut self) -> Timestamp {
        self.last = self.last.max(system());
        self.last
    }
}

/// What the system says, in microseconds since 1970; zero for a clock before that.
pub(crate) fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
