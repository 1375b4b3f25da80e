//! The clock of a simulated node, as `node::clock` reads its own: set forward it goes forward, set back
//! it goes on from where it was.

use domain::Timestamp;

/// How far the stamps of inputs are ahead of true time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    system_ms: i64,
    ahead_ms: u64,
}

impl Clock {
    /// Somebody sets the system's clock.
    pub(crate) fn set(&mut self, by_ms: i64) {
        self.system_ms = self.system_ms.saturating_add(by_ms);
        self.ahead_ms = self.ahead_ms.max(u64::try_from(self.system_ms).unwrap_or(0));
    }

    /// The stamp at a true time.
    pub(crate) fn stamp(self, now: Timestamp) -> Timestamp {
        now.plus_ms(self.ahead_ms)
    }

    /// The true time at which a stamp is reached.
    pub(crate) fn when(self, stamp: Timestamp) -> Timestamp {
        Timestamp(stamp.0.saturating_sub(self.ahead_ms * 1000))
    }
}
