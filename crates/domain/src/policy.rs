//! Every limit and threshold that decisions rest on, with its unit. A run records the policy it
//! decides by in `NodeStarted`, so a replay needs no configuration. Fields are also known by name, for
//! whoever writes a policy down as text or asks what another one would have led to.

use rkyv::{Archive, Deserialize, Serialize};

use crate::score::Ppm;

/// The limits and thresholds of one run.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Searches that may be sent within [`Self::search_window_ms`]; more earns a ban of 30 minutes.
    pub searches_per_window: u32,
    /// Length of the sliding window that searches are counted in, in milliseconds.
    pub search_window_ms: u64,
    /// Searches that may be open at once.
    pub searches_in_flight: u32,
    /// How long a search collects answers, in milliseconds.
    pub search_open_ms: u64,
    /// How long answers are gathered before the first source of a track is chosen, in milliseconds:
    /// the first to answer is seldom the best.
    pub gather_ms: u64,
    /// Wait before a track without any source is searched for again, in milliseconds; doubles with
    /// each search in vain, up to [`Self::search_repeat_most_ms`].
    pub search_repeat_ms: u64,
    /// Longest wait between two searches for one track, in milliseconds.
    pub search_repeat_most_ms: u64,
    /// The same query is not sent again within this time, whoever asks for it, in milliseconds.
    pub search_again_least_ms: u64,
    /// Usable sources remembered for one track.
    pub sources_per_track: u32,
    /// Larger files are not taken for tracks, in bytes.
    pub largest_file_bytes: u64,
    /// Assignments open at once, over all peers.
    pub transfers: u32,
    /// Assignments open at once with one peer: one runs, the next stands in its queue.
    pub transfers_per_peer: u32,
    /// A running transfer without a byte for this long is taken from its peer, in milliseconds.
    pub stall_after_ms: u64,
    /// A queued transfer is moved to another source after this long, in milliseconds.
    pub queue_wait_ms: u64,
    /// First rest of a peer after a failure, in milliseconds, shorter where only its connection broke; doubles up to
    /// [`Self::peer_rest_most_ms`].
    pub peer_rest_ms: u64,
    /// Longest rest of a peer, in milliseconds.
    pub peer_rest_most_ms: u64,
    /// Failures after which a source is given up.
    pub source_failures: u32,
    /// First wait after a failed metadata lookup, in milliseconds; doubles up to
    /// [`Self::lookup_retry_most_ms`].
    pub lookup_retry_ms: u64,
    /// Longest wait between two lookups of one thing, in milliseconds.
    pub lookup_retry_most_ms: u64,
    /// How long a job pauses at first when the disk refuses, in milliseconds; doubles up to
    /// [`Self::disk_retry_most_ms`] until a track is completed.
    pub disk_retry_ms: u64,
    /// Longest pause of a job for the disk, in milliseconds.
    pub disk_retry_most_ms: u64,
    /// Largest difference between a file's length and the track's, in milliseconds.
    pub duration_tolerance_ms: u64,
    /// Lowest AcoustID score that proves a recording.
    pub identity_least: Ppm,
}

impl Default for Policy {
    /// What a home server on the public network should do.
    fn default() -> Self {
        Self {
            // A working budget of clients that are not banned; two at a time.
            searches_per_window: 34,
            search_window_ms: 220_000,
            searches_in_flight: 2,
            search_open_ms: 12_000,
            gather_ms: 2_000,
            search_repeat_ms: 600_000,
            search_repeat_most_ms: 6 * 3_600_000,
            search_again_least_ms: 120_000,
            sources_per_track: 64,
            largest_file_bytes: 4 << 30,
            transfers: 100,
            transfers_per_peer: 2,
            // Design: rescue mode, triggers 1 and 3.
            stall_after_ms: 120_000,
            queue_wait_ms: 1_800_000,
            peer_rest_ms: 30_000,
            peer_rest_most_ms: 1_800_000,
            source_failures: 3,
            lookup_retry_ms: 2_000,
            lookup_retry_most_ms: 60_000,
            disk_retry_ms: 60_000,
            disk_retry_most_ms: 1_800_000,
            // Design: section 1.1, fuzzy matching.
            duration_tolerance_ms: 3_000,
            identity_least: Ppm(500_000),
        }
    }
}

/// Why a field of a policy was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// No field has this name.
    #[error("a policy has no field {name:?}, only {}", Policy::NAMES.join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// The field holds smaller numbers only.
    #[error("{value} is too large for {name}: the largest is {}", u32::MAX)]
    TooLarge {
        /// The field.
        name: &'static str,
        /// The number.
        value: u64,
    },
}

/// How a field holds its number.
trait Number: Sized {
    fn of(value: u64) -> Option<Self>;
    fn number(self) -> u64;
}

impl Number for u64 {
    fn of(value: u64) -> Option<Self> {
        Some(value)
    }

    fn number(self) -> u64 {
        self
    }
}

impl Number for u32 {
    fn of(value: u64) -> Option<Self> {
        value.try_into().ok()
    }

    fn number(self) -> u64 {
        self.into()
    }
}

impl Number for Ppm {
    fn of(value: u64) -> Option<Self> {
        u32::of(value).map(Self)
    }

    fn number(self) -> u64 {
        self.0.into()
    }
}

macro_rules! fields {
    ($($name:ident),* $(,)?) => {
        impl Policy {
            /// Every field by name.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Every field and its number, shares in parts per million.
            #[must_use]
            pub fn fields(&self) -> Vec<(&'static str, u64)> {
                // A field that is not listed below does not compile here.
                let Self { $($name),* } = *self;
                vec![$((stringify!($name), $name.number())),*]
            }

            /// Sets the field of this name.
            ///
            /// # Errors
            /// When there is no such field or it cannot hold the number.
            pub fn set(&mut self, name: &str, value: u64) -> Result<(), FieldError> {
                $(if name == stringify!($name) {
                    let number = Number::of(value);
                    let too_large = FieldError::TooLarge { name: stringify!($name), value };
                    self.$name = number.ok_or(too_large)?;
                    return Ok(());
                })*
                Err(FieldError::Unknown { name: name.to_owned() })
            }
        }
    };
}

fields! {
    searches_per_window,
    search_window_ms,
    searches_in_flight,
    search_open_ms,
    gather_ms,
    search_repeat_ms,
    search_repeat_most_ms,
    search_again_least_ms,
    sources_per_track,
    largest_file_bytes,
    transfers,
    transfers_per_peer,
    stall_after_ms,
    queue_wait_ms,
    peer_rest_ms,
    peer_rest_most_ms,
    source_failures,
    lookup_retry_ms,
    lookup_retry_most_ms,
    disk_retry_ms,
    disk_retry_most_ms,
    duration_tolerance_ms,
    identity_least,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_set_by_its_name_and_no_other() {
        for (place, name) in (0u32..).zip(Policy::NAMES) {
            let mut policy = Policy::default();
            let number = u64::from(place) + 1_000_003;
            policy.set(name, number).unwrap();
            for ((field, now), (_, before)) in
                policy.fields().iter().zip(Policy::default().fields())
            {
                assert_eq!(*now, if field == name { number } else { before }, "{name} {field}");
            }
        }
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones_and_a_large_number_is_refused() {
        let mut policy = Policy::default();
        let error = policy.set("transfer", 1).unwrap_err().to_string();
        assert!(error.contains("transfers_per_peer") && error.contains("gather_ms"), "{error}");
        let too_large = FieldError::TooLarge { name: "transfers", value: 1 << 32 };
        assert_eq!(policy.set("transfers", 1 << 32), Err(too_large));
        policy.set("stall_after_ms", 1 << 40).unwrap();
        assert_eq!(policy.stall_after_ms, 1 << 40);
    }
}
