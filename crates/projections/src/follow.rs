//! Keeps a read model up to date: a thread that reads the log from the model's checkpoint on and
//! sleeps when there is nothing new. It decides when a model has to be folded anew.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use domain::{Envelope, Seq};
use eventlog::{ReadError, Reader};

use crate::projection::{ApplyError, Projection};

/// Events folded in at once; a read model's readers wait for no longer than that takes.
const BATCH: u64 = 512;

/// Why a read model is no longer kept up to date.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The log could not be read.
    #[error("view {view} cannot go on: the log could not be read")]
    Read {
        /// The read model's name.
        view: &'static str,
        /// What failed.
        source: ReadError,
    },
    /// The events could not be folded in.
    #[error("view {view} cannot go on")]
    Apply {
        /// The read model's name.
        view: &'static str,
        /// What failed.
        source: ApplyError,
    },
    /// The thread could not be started.
    #[error("view {view} got no thread")]
    Thread {
        /// The read model's name.
        view: &'static str,
        /// What failed.
        source: std::io::Error,
    },
}

/// A read model being kept up to date. Dropping it stops and waits for the batch at hand.
pub struct Follower {
    wake: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts to follow. A read model of another version or another log, one that is ahead of the
    /// log, and one that was never started begin anew, before this returns.
    ///
    /// `failed` is called at most once, on the follower's thread, when it cannot go on; the read
    /// model then stays as it is, and the process should stop.
    ///
    /// # Errors
    /// When the read model cannot be reset or there is no thread for it.
    pub fn start<P: Projection + Send + 'static>(
        mut projection: P,
        reader: Reader,
        failed: impl FnOnce(FollowError) + Send + 'static,
    ) -> Result<Self, FollowError> {
        prepare(&mut projection, &reader)?;
        let wake = Arc::new(Wake::default());
        // Weakly, or a log that outlives its followers would keep every one of them.
        let news = Arc::downgrade(&wake);
        reader.on_durable(move |_| {
            news.upgrade().is_some_and(|wake| wake.change(|it| it.news = true))
        });
        let woken = Arc::clone(&wake);
        let thread = std::thread::Builder::new()
            .name(format!("view {}", P::NAME))
            .spawn(move || {
                if let Err(error) = run(&mut projection, &reader, &woken) {
                    failed(error);
                }
            })
            .map_err(|source| FollowError::Thread { view: P::NAME, source })?;
        Ok(Self { wake, thread: Some(thread) })
    }

    /// Stops after the batch at hand and returns when the thread has ended.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.wake.change(|it| it.stop = true);
        // A panic of the thread was reported by it; there is nothing to add while stopping.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Folds in everything that is durable now, on this thread: what a tool needs that follows nothing.
///
/// # Errors
/// When the log cannot be read or the events cannot be folded in.
pub fn catch_up<P: Projection>(projection: &mut P, reader: &Reader) -> Result<(), FollowError> {
    prepare(projection, reader)?;
    while advance(projection, reader)? {}
    Ok(())
}

fn prepare<P: Projection>(projection: &mut P, reader: &Reader) -> Result<(), FollowError> {
    let failed = |source| FollowError::Apply { view: P::NAME, source };
    let fits = projection.checkpoint().map_err(failed)?.is_some_and(|checkpoint| {
        checkpoint.version == P::VERSION
            && checkpoint.log == reader.identity()
            && checkpoint.seq <= reader.durable()
    });
    if fits {
        return Ok(());
    }
    projection.reset(reader.identity()).map_err(failed)
}

fn run<P: Projection>(projection: &mut P, reader: &Reader, wake: &Wake) -> Result<(), FollowError> {
    while wake.wait() {
        while advance(projection, reader)? {
            if wake.is_stopping() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Folds one batch in; false when there was nothing to fold.
fn advance<P: Projection>(projection: &mut P, reader: &Reader) -> Result<bool, FollowError> {
    let failed = |source| FollowError::Apply { view: P::NAME, source };
    let checkpoint = projection.checkpoint().map_err(failed)?;
    let after = checkpoint.map_or(0, |checkpoint| checkpoint.seq.0);
    let batch: Vec<Envelope> = reader
        .range(Seq(after.saturating_add(1))..=Seq(after.saturating_add(BATCH)))
        .collect::<Result<_, _>>()
        .map_err(|source| FollowError::Read { view: P::NAME, source })?;
    if batch.is_empty() {
        return Ok(false);
    }
    projection.apply(&batch).map_err(failed)?;
    Ok(true)
}

/// What a sleeping follower is woken for.
struct Wake {
    reasons: Mutex<Reasons>,
    changed: Condvar,
}

struct Reasons {
    news: bool,
    stop: bool,
}

impl Default for Wake {
    fn default() -> Self {
        // There may be news from before anybody told.
        Self { reasons: Mutex::new(Reasons { news: true, stop: false }), changed: Condvar::new() }
    }
}

impl Wake {
    /// Always true: as a hook it asks to be called again.
    fn change(&self, change: impl FnOnce(&mut Reasons)) -> bool {
        change(&mut self.reasons.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        true
    }

    fn is_stopping(&self) -> bool {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).stop
    }

    /// Sleeps until there is news, and takes it; false when it is time to stop.
    fn wait(&self) -> bool {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        while !reasons.news && !reasons.stop {
            reasons = self.changed.wait(reasons).unwrap_or_else(PoisonError::into_inner);
        }
        reasons.news = false;
        !reasons.stop
    }
}
