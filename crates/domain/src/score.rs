//! Fixed-point shares. Decisions never rest on floating point, which may differ between builds.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

/// A share in parts per million: 0 is none, 1,000,000 is all.
#[derive(
    Archive,
    Serialize,
    Deserialize,
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
)]
pub struct Ppm(pub u32);

impl Ppm {
    /// The whole.
    pub const ONE: Self = Self(1_000_000);

    /// `part / whole`, capped at one; zero when there is no whole.
    #[must_use]
    pub fn ratio(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self(0);
        }
        let ppm = u128::from(part) * 1_000_000 / u128::from(whole);
        Self(u32::try_from(ppm.min(1_000_000)).expect("capped at one million"))
    }

    /// From a service's score between 0 and 1; anything outside, or not a number, is clamped.
    #[must_use]
    pub fn from_unit(score: f64) -> Self {
        // The one place where a foreign float becomes ours; `as` saturates and maps NaN to zero.
        Self((score.clamp(0.0, 1.0) * 1_000_000.0) as u32)
    }
}

impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}%", self.0 / 10_000, self.0 / 1000 % 10)
    }
}
