//! Sets of bytes of one file: which are held, offered, wanted. Kept as few ranges as they are.

use crate::chunk::ByteRange;

/// A set of bytes: ranges in order that neither meet nor overlap, none of them empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeSet(Vec<ByteRange>);

impl RangeSet {
    /// The bytes of one range.
    #[must_use]
    pub fn of(range: ByteRange) -> Self {
        Self(if range.is_empty() { Vec::new() } else { vec![range] })
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = ByteRange> {
        self.0.iter().copied()
    }

    /// True when there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|range| range.len()).sum()
    }

    /// Whether a byte is in it.
    #[must_use]
    pub fn has(&self, byte: u64) -> bool {
        let after = self.0.partition_point(|range| range.start <= byte);
        after > 0 && byte < self.0[after - 1].end
    }

    /// Whether any byte of a range is in it.
    #[must_use]
    pub fn meets(&self, range: ByteRange) -> bool {
        let from = self.0.partition_point(|held| held.end <= range.start);
        self.0.get(from).is_some_and(|held| held.start < range.end) && !range.is_empty()
    }

    /// Adds the bytes of a range.
    pub fn insert(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        let from = self.0.partition_point(|held| held.end < range.start);
        let to = self.0.partition_point(|held| held.start <= range.end);
        let mut whole = range;
        if let (Some(first), Some(last)) = (self.0[from..to].first(), self.0[from..to].last()) {
            whole.start = whole.start.min(first.start);
            whole.end = whole.end.max(last.end);
        }
        self.0.splice(from..to, [whole]);
    }

    /// Takes the bytes of a range out.
    pub fn remove(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        let from = self.0.partition_point(|held| held.end <= range.start);
        let to = self.0.partition_point(|held| held.start < range.end);
        if from >= to {
            return;
        }
        let before = ByteRange { start: self.0[from].start, end: range.start };
        let after = ByteRange { start: range.end, end: self.0[to - 1].end };
        self.0.splice(from..to, [before, after].into_iter().filter(|rest| !rest.is_empty()));
    }

    /// Takes the bytes of another set out.
    pub fn remove_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.remove(range);
        }
    }

    /// The bytes of a range that are not in it.
    #[must_use]
    pub fn missing_in(&self, range: ByteRange) -> Self {
        let mut missing = Self::of(range);
        let from = self.0.partition_point(|held| held.end <= range.start);
        for held in self.0[from..].iter().take_while(|held| held.start < range.end) {
            missing.remove(*held);
        }
        missing
    }

    /// The bytes that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (mut both, mut from) = (Vec::new(), 0);
        for range in &self.0 {
            from += other.0[from..].partition_point(|held| held.end <= range.start);
            both.extend(other.0[from..].iter().take_while(|held| held.start < range.end).map(
                |held| ByteRange {
                    start: held.start.max(range.start),
                    end: held.end.min(range.end),
                },
            ));
        }
        Self(both)
    }
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut set = Self::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range() -> impl Strategy<Value = ByteRange> {
        (0u64..40, 0u64..40).prop_map(|(start, end)| ByteRange { start, end })
    }

    fn bits(set: &RangeSet) -> Vec<bool> {
        (0..40)
            .map(|byte| set.iter().any(|range| (range.start..range.end).contains(&byte)))
            .collect()
    }

    proptest! {
        /// Against the plainest set there is: one bool a byte.
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((any::<bool>(), range()), 0..20), of in range()) {
            let (mut set, mut plain) = (RangeSet::default(), vec![false; 40]);
            for (is_in, range) in steps {
                if is_in { set.insert(range) } else { set.remove(range) }
                (range.start..range.end).for_each(|byte| plain[byte as usize] = is_in);
                prop_assert_eq!(&bits(&set), &plain);
                prop_assert_eq!(set.bytes(), plain.iter().filter(|held| **held).count() as u64);
                let apart = set.0.windows(2).all(|two| two[0].end < two[1].start);
                prop_assert!(apart && set.iter().all(|range| !range.is_empty()));
            }
            let inside = |byte: u64| (of.start..of.end).contains(&byte);
            let missing: Vec<_> = (0..40).map(|byte| inside(byte) && !plain[byte as usize]).collect();
            prop_assert_eq!(bits(&set.missing_in(of)), missing);
            let both: Vec<_> = (0..40).map(|byte| inside(byte) && plain[byte as usize]).collect();
            prop_assert_eq!(set.meets(of), both.iter().any(|both| *both));
            prop_assert_eq!(bits(&set.and(&RangeSet::of(of))), both);
            for byte in 0..40 {
                prop_assert_eq!(set.has(byte), plain[byte as usize]);
            }
        }
    }
}
