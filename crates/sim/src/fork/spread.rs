//! What came of many runs: how often it was complete, how soon, and who was needed for it.

use std::collections::BTreeMap;

use domain::{PeerId, TrackKey};

use super::Outcome;

/// The outcomes of some runs together.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    runs: u64,
    complete: Vec<Option<u64>>,
    tracks: BTreeMap<TrackKey, Vec<Option<u64>>>,
    peers: BTreeMap<PeerId, Use>,
}

/// How much a peer was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// Runs in which it gave something.
    pub runs: u64,
    /// Bytes it gave in all of them.
    pub bytes: u64,
}

impl Spread {
    /// One more.
    pub fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.complete.push(outcome.complete_ms());
        for (track, took) in &outcome.tracks {
            self.tracks.entry(*track).or_default().push(*took);
        }
        for (peer, bytes) in &outcome.bytes {
            let used = self.peers.entry(peer.clone()).or_default();
            used.runs += 1;
            used.bytes = used.bytes.saturating_add(*bytes);
        }
    }

    /// How many there were.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// In how many all jobs were complete.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.complete.iter().flatten().count() as u64
    }

    /// The time by which everything was complete in so many of 100 runs, in milliseconds; `None` when it
    /// was not in that many.
    #[must_use]
    pub fn complete_ms(&self, percent: u64) -> Option<u64> {
        quantile(&self.complete, percent)
    }

    /// The same of each track.
    pub fn tracks(&self, percent: u64) -> impl Iterator<Item = (TrackKey, Option<u64>)> {
        self.tracks.iter().map(move |(track, took)| (*track, quantile(took, percent)))
    }

    /// Who gave something, in how many runs, and how much.
    #[must_use]
    pub fn peers(&self) -> &BTreeMap<PeerId, Use> {
        &self.peers
    }
}

/// The nearest rank: the least of the values that so many of 100 are not above. What never came is above
/// every number.
fn quantile(values: &[Option<u64>], percent: u64) -> Option<u64> {
    let mut sorted: Vec<u64> = values.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let rank = (values.len() as u64 * percent).div_ceil(100).max(1);
    sorted.get(usize::try_from(rank - 1).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_later_than_everything() {
        let values = [Some(30), None, Some(10), Some(20)];
        assert_eq!(quantile(&values, 10), Some(10));
        assert_eq!(quantile(&values, 50), Some(20));
        assert_eq!(quantile(&values, 75), Some(30));
        assert_eq!(quantile(&values, 90), None);
        assert_eq!(quantile(&[], 50), None);
    }
}
