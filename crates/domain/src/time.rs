//! Time as the core sees it: given from outside, recorded with each event, never read from a clock.

use rkyv::{Archive, Deserialize, Serialize};

/// A moment in microseconds since 1970-01-01T00:00:00 UTC.
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
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment `ms` milliseconds later; saturates at the end of time.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    /// Whole milliseconds from `earlier` to `self`; zero when the clock went backwards.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }

    /// `HH:MM:SS.mmm` in UTC, as the histories print it.
    #[must_use]
    pub fn clock(self) -> String {
        let ms = self.0 / 1000;
        let (s, ms) = (ms / 1000, ms % 1000);
        format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600 % 24, s / 60 % 60, s % 60)
    }

    /// RFC 3339 in UTC with milliseconds, as the API and exports print it.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let days = self.0 / 86_400_000_000;
        let (year, month, day) = civil(days);
        format!("{year:04}-{month:02}-{day:02}T{}Z", self.clock())
    }
}

/// Gregorian date of a count of days since 1970-01-01 (the usual era arithmetic: 400-year cycles
/// of 146,097 days, years counted from 1 March so that the leap day comes last).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_known_moments() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_827_696_789_000).rfc3339(), "2000-02-29T12:34:56.789Z");
        assert_eq!(Timestamp(4_107_542_399_000_000).rfc3339(), "2100-02-28T23:59:59.000Z");
    }

    #[test]
    fn a_clock_that_went_back_counts_as_no_time() {
        assert_eq!(Timestamp(1000).ms_since(Timestamp(9000)), 0);
    }
}
