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
}

impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}%", self.0 / 10_000, self.0 / 1000 % 10)
    }
}
