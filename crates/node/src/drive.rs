//! The loop: drain the inbox, step each input, append once, and only then perform. A full disk is
//! waited for; any other failed append ends it. The engine may be ahead of the log within one round and
//! never longer.

use std::time::Duration;

use api::Receipt;
use domain::{Effect, Event, Input, Observation, Seq, Timestamp};
use engine::Engine;
use eventlog::{AppendError, Log, Step};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::inbox::Entry;
use crate::perform::Performer;

/// Inputs stepped in one round, and so appended with one sync.
const ROUND: usize = 256;

/// How often a full disk is looked at again.
const LOOK_FOR_SPACE: Duration = Duration::from_secs(2);

pub(crate) struct Drive {
    pub(crate) engine: Engine,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    pub(crate) inbox: mpsc::Receiver<Entry>,
    pub(crate) performer: Performer,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What one input led to, until it is durable.
struct Stepped {
    at: Timestamp,
    events: Vec<Event>,
    effects: Vec<Effect>,
    digest: u64,
    reply: Option<oneshot::Sender<Receipt>>,
}

impl Drive {
    /// Opens a run: records that it began, and does what the run before left undone.
    pub(crate) async fn begin(&mut self, started: Input) -> Result<(), AppendError> {
        let unanswered = self.engine.resume();
        let step = self.step(Entry { input: started, reply: None });
        if !self.commit(vec![step]).await? {
            return Ok(());
        }
        for effect in unanswered {
            self.performer.perform(effect);
        }
        Ok(())
    }

    /// Runs until told to stop, or until the log fails.
    pub(crate) async fn run(mut self) -> Result<(), AppendError> {
        loop {
            let deadline = self.engine.deadline().map(|deadline| self.clock.until(deadline));
            let entry = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return Ok(()),
                entry = self.inbox.recv() => match entry {
                    Some(entry) => entry,
                    None => return Ok(()),
                },
                () = sleep(deadline) => Entry {
                    input: Input::Observation(Observation::DeadlineReached),
                    reply: None,
                },
            };
            let mut round = vec![self.step(entry)];
            while round.len() < ROUND
                && let Ok(entry) = self.inbox.try_recv()
            {
                round.push(self.step(entry));
            }
            if !self.commit(round).await? {
                return Ok(());
            }
        }
    }

    fn step(&mut self, Entry { input, reply }: Entry) -> Stepped {
        let at = self.clock.now();
        let step = self.engine.step(input, at);
        let engine::Step { events, effects, digest } = step;
        Stepped { at, events, effects, digest, reply }
    }

    /// Makes a round durable, then lets its effects out; false when it was told to stop meanwhile.
    async fn commit(&mut self, round: Vec<Stepped>) -> Result<bool, AppendError> {
        let steps: Vec<_> = round
            .iter()
            .map(|step| Step { digest: Some(step.digest), ..Step::new(step.at, &step.events) })
            .collect();
        let mut appended = tokio::task::block_in_place(|| self.log.append(&steps));
        while let Err(error @ (AppendError::DiskFull(_) | AppendError::Waiting)) = appended {
            tracing::error!(%error, "the event log waits for space on its disk");
            tokio::select! {
                biased;
                // Nothing of this round was done: the next run does what of it is recorded.
                _ = self.stop.wait_for(|stop| *stop) => return Ok(false),
                () = tokio::time::sleep(LOOK_FOR_SPACE) => {}
            }
            appended = tokio::task::block_in_place(|| {
                self.log.heal()?;
                self.log.append(&steps)
            });
        }
        let positions = appended?;
        let mut next = positions.start;
        for Stepped { events, effects, reply, .. } in round {
            let seq = next;
            next = Seq(next.0 + events.len() as u64);
            if let Some(reply) = reply {
                let decisions = events
                    .into_iter()
                    .filter_map(|event| match event {
                        Event::Decision(decision) => Some(decision),
                        Event::Input(_) => None,
                    })
                    .collect();
                // Whoever asked may have gone.
                let _ = reply.send(Receipt { seq: Seq(next.0 - 1), decisions });
            }
            tracing::trace!(%seq, effects = effects.len(), "stepped");
            for effect in effects {
                self.performer.perform(effect);
            }
        }
        Ok(true)
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
