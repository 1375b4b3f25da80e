//! A limit on bytes per second, shared by all transfers in one direction. What the bytes are is
//! the business of [`crate::upload`] and [`crate::download`].

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::session::lock;

/// Bytes moved at a time where no limit asks for less.
pub(crate) const STEP: usize = 128 << 10;

/// Spreads bytes over time. Whoever moves some waits for [`Pace::turn`] first and says with
/// [`Pace::spent`] how many they were, so that giving up in between loses none.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_s: u64,
    free_at: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(bytes_per_s: u64) -> Pace {
        Pace { bytes_per_s: bytes_per_s.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Small enough that even a slow transfer moves several times per second: others give up on
    /// one that stands still for half a minute.
    pub(crate) fn step(&self) -> usize {
        usize::try_from(self.bytes_per_s / 4).unwrap_or(STEP).clamp(1 << 10, STEP)
    }

    pub(crate) async fn turn(&self) {
        let free_at = *lock(&self.free_at);
        // Those who wait at the same moment all go on at the same moment, and owe for all.
        sleep_until(free_at).await;
    }

    pub(crate) fn spent(&self, bytes: usize) {
        let mut free_at = lock(&self.free_at);
        let micros = (bytes as u64).saturating_mul(1_000_000) / self.bytes_per_s;
        *free_at = (*free_at).max(Instant::now()) + Duration::from_micros(micros);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_share_a_limit_keep_it_together() {
        let pace = Arc::new(Pace::new(100_000));
        let mut working = tokio::task::JoinSet::new();
        let began = Instant::now();
        for _ in 0..4 {
            let pace = Arc::clone(&pace);
            working.spawn(async move {
                for _ in 0..10 {
                    pace.turn().await;
                    pace.spent(pace.step());
                }
            });
        }
        while working.join_next().await.is_some() {}
        pace.turn().await;
        assert_eq!(began.elapsed().as_secs(), 10, "a million bytes");
    }
}
