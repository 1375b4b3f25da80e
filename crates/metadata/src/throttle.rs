//! Keeps requests to one service apart in time. It delays and never refuses; what a service that was
//! asked too fast answers is a fault in [`crate::musicbrainz`] and [`crate::acoustid`].

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Turns at one service, in the order they were asked for, at least an interval apart.
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A throttle whose first turn comes at once and every other `min_interval` after the one before.
    #[must_use]
    pub fn new(min_interval: Duration) -> Self {
        Self { interval: min_interval, free_at: Mutex::new(None) }
    }

    /// Waits for a turn. Whoever stops waiting takes nobody's turn.
    pub async fn turn(&self) {
        // The lock is fair and is held while waiting, so turns come in the order of asking.
        let mut free_at = self.free_at.lock().await;
        if let Some(at) = *free_at {
            sleep_until(at).await;
        }
        *free_at = Some(Instant::now() + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn turns_are_an_interval_apart_and_the_first_is_free() {
        let began = Instant::now();
        let throttle = Throttle::new(SECOND);
        for turn in 0..4 {
            throttle.turn().await;
            assert_eq!(began.elapsed(), SECOND * turn);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_spent_elsewhere_counts() {
        let throttle = Throttle::new(SECOND);
        throttle.turn().await;
        tokio::time::advance(SECOND * 5).await;
        let asked = Instant::now();
        throttle.turn().await;
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_in_the_order_of_asking() {
        let throttle = Arc::new(Throttle::new(SECOND));
        let came = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..5)
            .map(|who| {
                let (throttle, came) = (Arc::clone(&throttle), Arc::clone(&came));
                tokio::spawn(async move {
                    throttle.turn().await;
                    came.lock().await.push(who);
                })
            })
            .collect();
        for one in waiting {
            one.await.unwrap();
        }
        assert_eq!(*came.lock().await, [0, 1, 2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_takes_no_turn() {
        let throttle = Throttle::new(SECOND);
        throttle.turn().await;
        let began = Instant::now();
        assert!(tokio::time::timeout(SECOND / 2, throttle.turn()).await.is_err());
        throttle.turn().await;
        assert_eq!(began.elapsed(), SECOND);
    }
}
