//! The loop: drain the inbox, step each input, append once, and only then perform. A full disk is
//! waited for; any other failed append ends it. The engine may be ahead of the log within one round and
//! never longer.

use std::time::Duration;

use api::{Question, Receipt, Reused};
use domain::{Effect, Event, Observation, Seq, Timestamp};
use engine::Engine;
use eventlog::{AppendError, CommandId, Log, Reader, Step};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::inbox::Entry;
use crate::perform::Performer;
use crate::receipt;

/// Inputs stepped in one round, and so appended with one sync.
const ROUND: usize = 256;

/// How often a full disk is looked at again.
const LOOK_FOR_SPACE: Duration = Duration::from_secs(2);

pub(crate) struct Drive {
    pub(crate) engine: Engine,
    pub(crate) log: Log,
    pub(crate) reader: Reader,
    pub(crate) clock: Clock,
    pub(crate) inbox: mpsc::Receiver<Entry>,
    pub(crate) questions: mpsc::Receiver<Question>,
    pub(crate) performer: Performer,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What one input led to, until it is durable.
struct Stepped {
    at: Timestamp,
    events: Vec<Event>,
    effects: Vec<Effect>,
    digest: u64,
    command: Option<CommandId>,
    reply: Option<oneshot::Sender<Result<Receipt, Reused>>>,
}

impl Drive {
    /// Opens a run: records that it began, and does what the run before left undone.
    pub(crate) async fn begin(&mut self, started: Observation) -> Result<(), AppendError> {
        let unanswered = self.engine.resume();
        let step = self.step(started.into());
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
            let next = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return Ok(()),
                Some(question) = self.questions.recv() => Err(question),
                entry = self.inbox.recv() => match entry {
                    Some(entry) => Ok(entry),
                    None => return Ok(()),
                },
                () = sleep(deadline) => Ok(Observation::DeadlineReached.into()),
            };
            match next {
                Ok(entry) => {
                    if !self.round(entry).await? {
                        return Ok(());
                    }
                }
                Err(question) => self.answer(question),
            }
        }
    }

    /// Takes an entry and what waits behind it; false when it was told to stop meanwhile.
    async fn round(&mut self, first: Entry) -> Result<bool, AppendError> {
        let mut round: Vec<Stepped> = Vec::new();
        let mut entry = Some(first);
        for _ in 0..ROUND {
            let Some(entry) = entry.take().or_else(|| self.inbox.try_recv().ok()) else { break };
            // What it led to the first time is known once that is durable.
            if entry.command.is_some()
                && round.iter().any(|step| step.command == entry.command)
                && !self.commit(std::mem::take(&mut round)).await?
            {
                return Ok(false);
            }
            match entry.command.and_then(|command| self.log.taken(command)) {
                Some(seq) => {
                    tokio::task::block_in_place(|| receipt::again(&self.reader, seq, entry))
                }
                None => round.push(self.step(entry)),
            }
        }
        self.commit(round).await
    }

    /// Between two rounds, so of what is durable.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Searches(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.engine.searches(self.clock.now()));
            }
        }
    }

    fn step(&mut self, Entry { input, command, reply }: Entry) -> Stepped {
        let at = self.clock.now();
        let step = self.engine.step(input, at);
        let engine::Step { events, effects, digest } = step;
        Stepped { at, events, effects, digest, command, reply }
    }

    /// Makes a round durable, then lets its effects out; false when it was told to stop meanwhile.
    async fn commit(&mut self, round: Vec<Stepped>) -> Result<bool, AppendError> {
        if round.is_empty() {
            return Ok(true);
        }
        let steps: Vec<_> = round
            .iter()
            .map(|step| Step {
                digest: Some(step.digest),
                command: step.command,
                ..Step::new(step.at, &step.events)
            })
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
                // Whoever asked may have gone.
                let _ = reply.send(Ok(receipt::of(Seq(next.0 - 1), events)));
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
