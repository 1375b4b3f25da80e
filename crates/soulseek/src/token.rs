//! Numbers that tell requests apart.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// Hands out tokens: a random first one, then the next and the next.
#[derive(Debug)]
pub(crate) struct Tokens {
    next: AtomicU32,
}

impl Tokens {
    /// Starts anywhere. A client that starts at the same number after every restart receives
    /// late answers to searches of its former life. sockseek#186.
    pub(crate) fn new() -> Tokens {
        // Half the range is left, so that a session never wraps around to zero.
        Tokens { next: AtomicU32::new(random() & 0x7fff_ffff | 1) }
    }

    pub(crate) fn next(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// Any number; not for secrets.
pub(crate) fn random() -> u32 {
    (RandomState::new().build_hasher().finish() & u64::from(u32::MAX)) as u32
}
