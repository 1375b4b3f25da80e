//! The shadow of the running node: a thread that gives a second engine what the log says entered, and sees
//! that it concludes and asks for the same. It only reads, keeps one engine and a step in memory, and rests
//! three times as long as it works. What it finds is an error in the process' log and in the node's health;
//! the node goes on, because what is recorded was done. How steps are compared is `replay::shadow`'s.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::Seq;
use eventlog::{Damage, ReadError, Reader};
use replay::Recorded;
use replay::shadow::{Board, Diverged, Shadow, Taken};

/// Steps between two rests.
const BATCH: usize = 256;
/// Rests are so many times as long as the work before them.
const REST: u32 = 3;

/// Why a shadow looks no further.
#[derive(Debug, thiserror::Error)]
enum ShadowError {
    /// The log cannot be read on.
    #[error("the event log cannot be read")]
    Read(#[from] ReadError),
    /// The engine did not survive what was recorded.
    #[error("the engine panics after event {0}")]
    Panic(Seq),
}

/// A running shadow. Dropping it stops it and waits for the step at hand.
pub(crate) struct Shadowing {
    board: Board,
    wake: Arc<Wake>,
    thread: Option<JoinHandle<()>>,
}

impl Shadowing {
    /// Begins with the first event of the log.
    pub(crate) fn start(reader: Reader) -> std::io::Result<Self> {
        let wake = Arc::new(Wake::default());
        let news = Arc::downgrade(&wake);
        reader.on_durable(move |_| news.upgrade().is_some_and(|wake| wake.call(false)));
        let board = Board::default();
        let work = Work { reader, board: board.clone(), wake: Arc::clone(&wake) };
        let thread = std::thread::Builder::new().name("shadow".into()).spawn(move || work.run())?;
        Ok(Self { board, wake, thread: Some(thread) })
    }

    /// Where it tells how it is doing.
    pub(crate) fn board(&self) -> Board {
        self.board.clone()
    }
}

impl Drop for Shadowing {
    fn drop(&mut self) {
        self.wake.call(true);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Work {
    reader: Reader,
    board: Board,
    wake: Arc<Wake>,
}

impl Work {
    fn run(self) {
        if let Err(error) = self.follow() {
            tracing::error!(%error, "the shadow replay looks no further");
            let mut words = error.to_string();
            if let Some(cause) = std::error::Error::source(&error) {
                words = format!("{words}: {cause}");
            }
            self.board.tell(|status| status.stopped = Some(words));
        }
    }

    fn follow(&self) -> Result<(), ShadowError> {
        let mut shadow = Shadow::default();
        while self.wake.wait(|| self.reader.durable() > shadow.position()) {
            let durable = self.reader.durable();
            let mut steps = Steps { events: self.events(shadow.position(), durable), next: None };
            let mut began = Instant::now();
            let mut taken = 0;
            while let Some(step) = steps.step()? {
                let before = shadow.position();
                let result = catch_unwind(AssertUnwindSafe(|| shadow.take(step)));
                match result.map_err(|_| ShadowError::Panic(before))? {
                    Taken::Same => {}
                    Taken::Uncompared => {
                        let events = shadow.position().0 - before.0;
                        self.board.tell(|status| status.uncompared += events);
                    }
                    Taken::Differs(diverged) => {
                        self.told(diverged)?;
                        shadow = self.anew(&shadow)?;
                        if self.wake.is_over() {
                            return Ok(());
                        }
                    }
                }
                taken += 1;
                if taken % BATCH == 0 {
                    self.board.tell(|status| status.position = shadow.position());
                    if !self.wake.rest(began.elapsed() * REST) {
                        return Ok(());
                    }
                    began = Instant::now();
                }
            }
            self.board.tell(|status| status.position = shadow.position());
        }
        Ok(())
    }

    /// A commit holds whole steps, so what is durable ends with one.
    fn events(
        &self,
        after: Seq,
        durable: Seq,
    ) -> impl Iterator<Item = Result<Recorded, ReadError>> + use<> {
        self.reader.records(Seq(after.0 + 1)..=durable).map(|record| {
            let record = record?;
            let seq = record.seq;
            let damaged = |damage: Damage| ReadError::Damaged { seq, damage };
            Recorded::try_from(record).map_err(damaged)
        })
    }

    fn told(&self, mut diverged: Diverged) -> Result<(), ShadowError> {
        let all = self.read_again(diverged.cause);
        diverged.divergence.trace(all)?;
        let digest = |digest: Option<u64>| {
            digest.map_or_else(|| "none".to_owned(), |digest| format!("{digest:016x}"))
        };
        tracing::error!(
            event = diverged.cause.0,
            recorded = digest(diverged.recorded),
            replayed = digest(Some(diverged.replayed)),
            "THE SHADOW REPLAY DIVERGES from what was recorded; please report it with `reprise job \
             export-history`\n{}",
            diverged.divergence
        );
        self.board.tell(|status| {
            status.divergences += 1;
            status.last = Some(diverged);
        });
        Ok(())
    }

    /// A shadow that is where the log is, unless it is time to stop.
    fn anew(&self, strayed: &Shadow) -> Result<Shadow, ShadowError> {
        let mut shadow = strayed.anew();
        for event in self.read_again(strayed.position()) {
            let event = event?;
            let retaken = catch_unwind(AssertUnwindSafe(|| shadow.retake(&event.envelope)));
            retaken.map_err(|_| ShadowError::Panic(event.envelope.seq))?;
        }
        Ok(shadow)
    }

    /// All events up to one, with rests between them; no more of them when it is time to stop.
    fn read_again(&self, last: Seq) -> impl Iterator<Item = Result<Recorded, ReadError>> {
        let (mut began, mut read) = (Instant::now(), 0);
        self.events(Seq(0), last).take_while(move |_| {
            read += 1;
            if read % BATCH != 0 {
                return true;
            }
            let goes_on = self.wake.rest(began.elapsed() * REST);
            began = Instant::now();
            goes_on
        })
    }
}

/// Events in steps.
struct Steps<I> {
    events: I,
    next: Option<Recorded>,
}

impl<I: Iterator<Item = Result<Recorded, ReadError>>> Steps<I> {
    fn step(&mut self) -> Result<Option<Vec<Recorded>>, ReadError> {
        let mut step: Vec<Recorded> = self.next.take().into_iter().collect();
        for event in self.events.by_ref() {
            let event = event?;
            if event.envelope.cause == event.envelope.seq && !step.is_empty() {
                self.next = Some(event);
                break;
            }
            step.push(event);
        }
        Ok((!step.is_empty()).then_some(step))
    }
}

/// What the thread sleeps by.
#[derive(Default)]
struct Wake {
    stop: Mutex<bool>,
    called: Condvar,
}

impl Wake {
    /// Always true: as a hook it asks to be called again.
    fn call(&self, stop: bool) -> bool {
        *self.lock() |= stop;
        self.called.notify_all();
        true
    }

    /// Sleeps until there is something to do; false when it is time to stop.
    fn wait(&self, is_due: impl Fn() -> bool) -> bool {
        let mut stop = self.lock();
        while !*stop && !is_due() {
            stop = self.called.wait(stop).unwrap_or_else(PoisonError::into_inner);
        }
        !*stop
    }

    /// Whether it is time to stop.
    fn is_over(&self) -> bool {
        *self.lock()
    }

    /// Sleeps for a while; false when it is time to stop.
    fn rest(&self, duration: Duration) -> bool {
        let rested = self.called.wait_timeout_while(self.lock(), duration, |stop| !*stop);
        !*rested.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
