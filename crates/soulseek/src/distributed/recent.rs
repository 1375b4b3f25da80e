//! Remembers which searches came by, so that none goes round in circles or is answered twice.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How long a search is remembered: copies are seconds apart, while some clients repeat a wish with
/// the same token after minutes, and that is a new search.
const MEMORY: Duration = Duration::from_secs(60);
/// How many are remembered.
const REMEMBERED: usize = 16_384;

/// Searches of the last minute.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<(Instant, u64)>,
    known: HashSet<u64>,
    // A key of our own: nobody can make two searches look the same.
    hasher: RandomState,
}

impl Recent {
    /// Whether this search was not seen lately. It is remembered.
    pub(super) fn is_new(&mut self, user: &str, token: u32, now: Instant) -> bool {
        while let Some((at, oldest)) = self.order.front().copied() {
            if self.order.len() < REMEMBERED && now.saturating_duration_since(at) < MEMORY {
                break;
            }
            self.order.pop_front();
            self.known.remove(&oldest);
        }
        let search = self.hasher.hash_one((user, token));
        if !self.known.insert(search) {
            return false;
        }
        self.order.push_back((now, search));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_new_once_a_minute_and_the_memory_is_bounded() {
        let mut recent = Recent::default();
        let now = Instant::now();
        assert!(recent.is_new("ada", 1, now));
        assert!(!recent.is_new("ada", 1, now + MEMORY / 2));
        assert!(recent.is_new("ada", 2, now) && recent.is_new("bo", 1, now));
        assert!(recent.is_new("ada", 1, now + MEMORY));
        for token in 0..50_000 {
            recent.is_new("mallory", token, now + MEMORY);
        }
        assert_eq!((recent.order.len(), recent.known.len()), (REMEMBERED, REMEMBERED));
    }
}
