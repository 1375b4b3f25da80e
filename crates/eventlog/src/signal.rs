//! A position that only grows, with ways to wait for it: blocking, and by a hook for async callers.
//! It carries no events; whoever wakes reads them from a [`crate::Reader`] or a view.

use std::fmt;
use std::time::{Duration, Instant};

use domain::Seq;

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

type Hook = Box<dyn Fn(Seq) -> bool + Send>;

/// The last position of something that grows.
#[derive(Default)]
pub struct Signal {
    position: Mutex<Seq>,
    grown: Condvar,
    // Apart from the position, so that a slow hook delays the writer but no reader.
    hooks: Mutex<Vec<Hook>>,
}

impl Signal {
    /// A signal that stands at `position`.
    #[must_use]
    pub fn at(position: Seq) -> Self {
        Self { position: Mutex::new(position), ..Self::default() }
    }

    /// The position now.
    #[must_use]
    pub fn position(&self) -> Seq {
        *self.lock()
    }

    /// Blocks until the position is beyond `seq` or the time is up; the position then.
    #[must_use]
    pub fn wait_beyond(&self, seq: Seq, timeout: Duration) -> Seq {
        let until = Instant::now().checked_add(timeout);
        let mut position = self.lock();
        while *position <= seq {
            // A timeout beyond what the clock can express is no timeout.
            let Some(until) = until else {
                position = self.grown.wait(position).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.grown.wait_timeout(position, left);
            position = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *position
    }

    /// Calls `hook` after each change, on the thread that made it, so a hook must return quickly
    /// and must not add hooks. A hook that returns `false` is forgotten.
    ///
    /// A change may happen before the hook is added: read [`Self::position`] afterwards. With a
    /// `tokio::sync::watch` sender the hook is `move |seq| { sender.send_replace(seq); true }`.
    pub fn on_change(&self, hook: impl Fn(Seq) -> bool + Send + 'static) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// Moves to `position` and wakes everybody. Moving back is for a view that is rebuilt.
    pub fn set(&self, position: Seq) {
        *self.lock() = position;
        self.grown.notify_all();
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).retain(|hook| hook(position));
    }

    // A panic elsewhere cannot leave a plain number half-written, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Seq> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({})", self.position())
    }
}
