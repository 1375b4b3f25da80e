//! The running digest of an engine: one number for everything that entered, was concluded and was asked
//! for. It is kept along the log, so that a replay also notices effects, which the log does not hold.

use std::hash::{Hash, Hasher};

use domain::{Effect, Event, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// xxh3 of the fields of each event and its effects, seeded with the digest before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digest {
    value: u64,
    // Kept for its memory only.
    fields: Fields,
}

impl Digest {
    /// Takes an event in, and what it asks of the outside.
    pub(crate) fn absorb(&mut self, event: &Event, at: Timestamp, effects: &[Effect]) {
        self.fields.0.clear();
        (at, event, effects).hash(&mut self.fields);
        self.value = xxh3_64_with_seed(&self.fields.0, self.value);
    }

    pub(crate) fn value(&self) -> u64 {
        self.value
    }
}

/// Fields in the order in which `Hash` visits them, the same on every machine that keeps its numbers
/// little-endian in memory: a slice of numbers is taken as it lies there.
#[derive(Debug, Clone, Default)]
struct Fields(Vec<u8>);

impl Hasher for Fields {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn write_u16(&mut self, number: u16) {
        self.write(&number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.write(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        unreachable!("the fields are hashed whole")
    }
}

#[cfg(test)]
mod tests {
    use domain::{Command, Input, JobId};

    use super::*;

    fn retry(job: u32) -> Event {
        Event::Input(Input::Command(Command::RetryJob { job: JobId(job) }))
    }

    fn digest(events: &[(u32, u64)]) -> u64 {
        let mut digest = Digest::default();
        for (job, at) in events {
            digest.absorb(&retry(*job), Timestamp(*at), &[]);
        }
        digest.value()
    }

    #[test]
    fn every_field_the_time_the_order_and_the_effects_count() {
        let digests = [
            digest(&[(1, 1), (2, 2)]),
            digest(&[(2, 1), (1, 2)]),
            digest(&[(1, 1), (2, 3)]),
            digest(&[(2, 2), (1, 1)]),
            digest(&[(1, 1)]),
            {
                let mut digest = Digest::default();
                digest.absorb(&retry(1), Timestamp(1), &[Effect::Share { path: "a".into() }]);
                digest.value()
            },
        ];
        for (at, one) in digests.iter().enumerate() {
            assert!(digests[at + 1..].iter().all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn it_is_the_same_number_in_every_build() {
        assert_eq!(digest(&[(1, 1), (2, 2)]), 17_513_806_978_479_370_495);
    }
}
