//! Seeded numbers for the simulated world. Not for secrets, and never for the engine.

/// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, every seed good.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A stream for one purpose of one seed, so that a new draw in one place shifts no other.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
        });
        let mut rng = Self(mixed);
        rng.bits();
        rng
    }

    /// A stream for one of many things of one purpose, so that one thing less shifts no other.
    #[must_use]
    pub fn numbered(seed: u64, purpose: &str, number: u64) -> Self {
        let mut rng = Self::new(seed, purpose);
        rng.0 ^= number.wrapping_mul(0xd6e8_feb8_6659_fd93);
        rng.bits();
        rng
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..high`; `low` when that is empty.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        if high <= low { low } else { low + self.bits() % (high - low) }
    }

    /// True in `percent` of the calls.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.bits() % 100 < percent
    }
}
