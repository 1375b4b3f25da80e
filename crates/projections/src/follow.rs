//! Keeps a read model up to date: a thread that reads the log from the model's checkpoint on and
//! sleeps when there is nothing new. What it does when awake, and when a model has to be folded anew,
//! is in `refold`; what it tells of itself in `status`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use domain::Seq;
use eventlog::{ReadError, Reader};

use crate::letter::Letters;
use crate::projection::{ApplyError, Projection};
use crate::refold::{Done, Hex, Refold};
use crate::rows::{Rows as _, Standing};
use crate::status::{Pace, State, Status, seconds_left};
use crate::table::TableError;

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
    /// Rows of the same version, folded anew, came out otherwise. Those in service were kept.
    #[error(
        "view {view} was folded anew and is another one at event {at}, first at key {key}; the old \
         rows were kept"
    )]
    Differs {
        /// The read model's name.
        view: &'static str,
        /// Where both stood.
        at: Seq,
        /// The first key that has another row.
        key: Hex,
    },
}

/// A read model being kept up to date. Dropping it stops and waits for the batch at hand.
pub struct Follower {
    control: Control,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts to follow. A read model of another log, one that is ahead of the log, one that this
    /// program cannot read, and one that was never started begin anew before this returns; one of an
    /// earlier version answers until it is folded anew beside.
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
        let (rebuilt_to, reason) = {
            let refold = Refold::begin(&mut projection, &reader)?;
            (refold.rebuilt_to(), refold.given_up())
        };
        let control = Control {
            name: P::NAME,
            rows: projection.rows().standing(),
            reader: reader.clone(),
            wake: Arc::new(Wake::new()),
            progress: Arc::new(Mutex::new(Progress::new(rebuilt_to, reason))),
        };
        // Weakly, or a log that outlives its followers would keep every one of them.
        let news = Arc::downgrade(&control.wake);
        reader.on_durable(move |_| {
            news.upgrade().is_some_and(|wake| wake.change(|it| it.news = true))
        });
        let told = control.clone();
        let thread = std::thread::Builder::new()
            .name(format!("view {}", P::NAME))
            .spawn(move || {
                if let Err(error) = run(&mut projection, &reader, &told) {
                    told.progress().stop(&error);
                    failed(error);
                }
            })
            .map_err(|source| FollowError::Thread { view: P::NAME, source })?;
        Ok(Self { control, thread: Some(thread) })
    }

    /// What to ask it by while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops after the batch at hand and returns when the thread has ended.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.control.wake.change(|it| it.stop = true);
        // A panic of the thread was reported by it; there is nothing to add while stopping.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Asks a follower how it is doing, and for more. Cheap to clone; it keeps nothing running.
#[derive(Clone)]
pub struct Control {
    name: &'static str,
    rows: Arc<dyn Standing>,
    reader: Reader,
    wake: Arc<Wake>,
    progress: Arc<Mutex<Progress>>,
}

impl Control {
    /// The read model's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How it is doing.
    ///
    /// # Errors
    /// When the store fails.
    pub fn status(&self) -> Result<Status, TableError> {
        let checkpoint = self.rows.checkpoint()?;
        let position = checkpoint.map_or(Seq(0), |checkpoint| checkpoint.seq);
        let dead_letters = self.letters().unacknowledged()?;
        let durable = self.reader.durable();
        // First, because it is kept until the other one says it too.
        let is_asked_anew = self.wake.is_rebuild_asked();
        let mut progress = self.progress();
        let rate_per_s = progress.pace.per_s(Instant::now());
        let state = match progress.state {
            State::Following if is_asked_anew => State::Rebuilding { to: Seq(0) },
            state => state,
        };
        let folded = match state {
            State::Rebuilding { to } => to,
            State::Following | State::Stopped => position,
        };
        Ok(Status {
            name: self.name,
            version: checkpoint.map(|checkpoint| checkpoint.version),
            position,
            lag: durable.0.saturating_sub(position.0),
            rate_per_s,
            seconds_left: seconds_left(durable.0.saturating_sub(folded.0), rate_per_s),
            state,
            reason: progress.reason.clone(),
            dead_letters,
        })
    }

    /// The events that it has gone on without.
    #[must_use]
    pub fn letters(&self) -> Letters {
        Letters::of(Arc::clone(&self.rows))
    }

    /// Has it fold everything anew beside the rows that answer, which are replaced when that is done.
    /// It is the way to try dead letters again, because rows depend on the order of events.
    pub fn rebuild(&self) {
        self.wake.change(|it| it.rebuild = true);
    }

    // A panic elsewhere leaves nothing here that is not true.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a follower tells of itself.
struct Progress {
    state: State,
    reason: Option<String>,
    pace: Pace,
}

impl Progress {
    fn new(rebuilt_to: Option<Seq>, reason: Option<String>) -> Self {
        let pace = Pace::new(Instant::now());
        let mut it = Self { state: State::Following, reason, pace };
        it.rebuilding(rebuilt_to);
        it
    }

    fn rebuilding(&mut self, to: Option<Seq>) {
        self.state = to.map_or(State::Following, |to| State::Rebuilding { to });
    }

    fn stop(&mut self, error: &FollowError) {
        self.state = State::Stopped;
        self.reason = Some(chain(error));
    }
}

/// An error with what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// Folds in everything that is durable now, on this thread: what a tool needs that follows nothing.
///
/// # Errors
/// When the log cannot be read or the events cannot be folded in.
pub fn catch_up<P: Projection>(projection: &mut P, reader: &Reader) -> Result<(), FollowError> {
    let mut refold = Refold::begin(projection, reader)?;
    while refold.step()? != Done::Nothing {}
    refold.settle()
}

/// The same with everything folded anew beside the rows that answer until then.
///
/// # Errors
/// As [`catch_up`], and when the rows came out otherwise although the version is the same.
pub fn rebuild<P: Projection>(projection: &mut P, reader: &Reader) -> Result<(), FollowError> {
    let mut refold = Refold::begin(projection, reader)?;
    refold.rebuild()?;
    while refold.step()? != Done::Nothing {}
    refold.settle()
}

fn run<P: Projection>(
    projection: &mut P,
    reader: &Reader,
    control: &Control,
) -> Result<(), FollowError> {
    let mut refold = Refold::begin(projection, reader)?;
    let mut idle = false;
    while let Some(rebuild) = control.wake.next(idle, refold.due()) {
        if rebuild {
            refold.rebuild()?;
            let mut progress = control.progress();
            progress.reason = None;
            progress.rebuilding(refold.rebuilt_to());
            control.wake.change(|it| it.rebuild = false);
        }
        let step = refold.step();
        idle = matches!(step, Ok(Done::Nothing));
        let mut progress = control.progress();
        match step {
            Ok(Done::Folded(events)) => progress.pace.note(Instant::now(), events),
            Ok(Done::Nothing) => {}
            // The rows that answer are as good as before.
            Err(error @ FollowError::Differs { .. }) => progress.reason = Some(chain(&error)),
            Err(error) => return Err(error),
        }
        progress.rebuilding(refold.rebuilt_to());
        drop(progress);
        if refold.due().is_some_and(|due| due <= Instant::now()) {
            refold.settle()?;
        }
    }
    refold.settle()
}

/// What a sleeping follower is woken for.
struct Wake {
    reasons: Mutex<Reasons>,
    changed: Condvar,
}

#[derive(Default)]
struct Reasons {
    news: bool,
    rebuild: bool,
    stop: bool,
}

impl Wake {
    fn new() -> Self {
        Self { reasons: Mutex::default(), changed: Condvar::new() }
    }

    /// Always true: as a hook it asks to be called again.
    fn change(&self, change: impl FnOnce(&mut Reasons)) -> bool {
        change(&mut self.reasons.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        true
    }

    /// Whether everything is to be folded anew; `None` when it is time to stop. One that is idle
    /// sleeps until there is anything, or something is due.
    fn next(&self, idle: bool, due: Option<Instant>) -> Option<bool> {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        while idle && !reasons.news && !reasons.rebuild && !reasons.stop {
            let Some(due) = due else {
                reasons = self.changed.wait(reasons).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(reasons, left);
            reasons = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        reasons.news = false;
        (!reasons.stop).then_some(reasons.rebuild)
    }

    fn is_rebuild_asked(&self) -> bool {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).rebuild
    }
}
