//! One life of a node in a simulated world: the node's loop without its sockets. Crashes lose
//! everything but the log and the disk; what goes on afterwards went through the log.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::observation::Observation;
use domain::{Command, Effect, Envelope, Event, Input, Policy, Seq, Timestamp};
use engine::state::{Job, JobPhase};
use engine::{Engine, VERSION};

use crate::check::{Broken, Law};
use crate::clock::Clock;
use crate::fault::{CrashPoint, Fault, Misfortune};
use crate::rng::Rng;
use crate::world::World;

/// What a run left behind.
#[derive(Debug)]
pub struct Life {
    /// What it was the life of.
    pub seed: u64,
    /// What it decided by.
    pub policy: Policy,
    /// Everything recorded.
    pub log: Vec<Envelope>,
    /// The engine at the end.
    pub engine: Engine,
    /// The world at the end.
    pub world: World,
    /// Crashes survived.
    pub crashes: u32,
    /// True time at the end.
    pub now: Timestamp,
    /// What only shows while it is lived: the engine panicked, spun or did not come back as it was.
    pub broken: Option<Broken>,
    clock: Clock,
    /// Crashes that are due.
    doom: VecDeque<CrashPoint>,
    inputs: u32,
}

/// When lives begin: a moment of 2026, as a moment near zero hides mistakes with time.
pub const BEGINNING: Timestamp = Timestamp(1_790_000_000_000_000);
/// Longest simulated life; an honest source needs far less.
pub const LONGEST_MS: u64 = 4 * 24 * 3_600_000;
/// Events within one simulated second after which the engine is taken to spin.
const BUSIEST: u32 = 3_000;
/// How long a job that waits for a person has to wait.
const PERSON_COMES_MS: u64 = 600_000;

/// What the node of a seed decides by: the usual, or what leaves little room.
#[must_use]
pub fn policy(seed: u64) -> Policy {
    if Rng::new(seed, "policy").chance(60) {
        return Policy::default();
    }
    Policy {
        searches_per_window: 3,
        searches_in_flight: 1,
        transfers: 2,
        transfers_per_peer: 1,
        ..Policy::default()
    }
}

/// Lives until the album is in the library and nothing is left to hear, or [`LONGEST_MS`] have passed.
/// Faults are taken in the order of the list.
#[must_use]
pub fn run(seed: u64, faults: &[Fault]) -> Life {
    let mut life = Life {
        seed,
        policy: policy(seed),
        log: Vec::new(),
        engine: Engine::new(),
        world: World::new(seed),
        crashes: 0,
        now: BEGINNING,
        broken: None,
        clock: Clock::default(),
        doom: VecDeque::new(),
        inputs: 0,
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| life.live(faults))) {
        life.fail(Law::NoPanic, words(panic.as_ref()));
    }
    life
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

impl Life {
    fn live(&mut self, faults: &[Fault]) {
        let mut faults = faults.iter().peekable();
        self.start();
        let release = self.world.release();
        self.enter(Input::Command(Command::AddJob { release }));
        let (mut idle_wakes, mut busy) = (0, 0);
        while self.broken.is_none() && self.now < BEGINNING.plus_ms(LONGEST_MS) {
            while let Some(fault) = faults.next_if(|fault| fault.at <= self.inputs) {
                self.suffer(fault.what);
            }
            let deadline = self.engine.deadline().map(|deadline| self.clock.when(deadline));
            let (then, seen) = match (self.world.next(deadline), deadline) {
                (Some(happened), _) => {
                    idle_wakes = 0;
                    happened
                }
                _ if self.is_completed() => break,
                (None, Some(deadline)) => {
                    idle_wakes = if deadline <= self.now { idle_wakes + 1 } else { 0 };
                    (deadline.max(self.now), Observation::DeadlineReached)
                }
                (None, None) if self.waits_for_a_person() => {
                    self.now = self.now.plus_ms(PERSON_COMES_MS);
                    self.retry();
                    continue;
                }
                (None, None) => break,
            };
            if then.ms_since(BEGINNING) / 1000 > self.now.ms_since(BEGINNING) / 1000 {
                busy = 0;
            }
            self.now = then.max(self.now);
            let before = self.log.len();
            self.handle(Input::Observation(seen));
            busy += self.log.len().saturating_sub(before);
            if busy > BUSIEST as usize || idle_wakes > 3 {
                self.fail(Law::Rest, "the engine wakes again and again".to_owned());
            }
        }
    }

    /// An input, and the crash that is due with it.
    fn handle(&mut self, input: Input) {
        match self.doom.pop_front() {
            None => self.enter(input),
            Some(CrashPoint::BeforeAppend) => self.crash(),
            Some(CrashPoint::AfterEffects(number)) => {
                let mut effects = self.step(input);
                effects.truncate(usize::from(number));
                self.perform(effects);
                self.crash();
            }
        }
    }

    fn suffer(&mut self, what: Misfortune) {
        match what {
            Misfortune::Crash(point) => self.doom.push_back(point),
            Misfortune::ClockBack { ms } => self.clock.set(-(ms as i64)),
            Misfortune::ClockForward { ms } => self.clock.set(ms as i64),
            Misfortune::PersonRetries => self.retry(),
            Misfortune::PersonChangesMind => {
                if let Some(job) = self.engine.state().jobs.keys().next_back().copied() {
                    self.enter(Input::Command(Command::CancelJob { job }));
                    let release = self.world.release();
                    self.enter(Input::Command(Command::AddJob { release }));
                }
            }
            other => self.world.suffer(other, self.now),
        }
    }

    fn retry(&mut self) {
        if let Some(job) = self.engine.state().jobs.keys().next_back().copied() {
            self.enter(Input::Command(Command::RetryJob { job }));
        }
    }

    fn job(&self) -> Option<&Job> {
        self.engine.state().jobs.values().next_back()
    }

    /// True when the album stands in the library: the last job asked for it.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.job().is_some_and(|job| job.phase == JobPhase::Completed)
    }

    fn waits_for_a_person(&self) -> bool {
        self.job().is_some_and(|job| {
            job.phase == JobPhase::Failed || job.hold.is_some_and(|hold| hold.until.is_none())
        })
    }

    fn start(&mut self) {
        let resumed = self.engine.resume();
        self.enter(Input::Observation(Observation::NodeStarted {
            policy: self.policy,
            engine: VERSION,
            build: "sim".into(),
        }));
        self.perform(resumed);
        self.world.log_in(self.now);
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.world.crash();
        let mut engine = Engine::new();
        for envelope in &self.log {
            engine.recover(envelope);
        }
        if engine.state() != self.engine.state() {
            self.fail(Law::Recovery, "what is recovered is not what was lived".to_owned());
        }
        if engine.digest() != self.engine.digest() {
            self.fail(Law::Recovery, "what is recovered asks for other effects".to_owned());
        }
        self.engine = engine;
        self.start();
    }

    fn enter(&mut self, input: Input) {
        let effects = self.step(input);
        self.perform(effects);
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let at = self.clock.stamp(self.now);
        let cause = Seq(self.log.len() as u64 + 1);
        self.inputs += 1;
        // In the log before it is stepped, so that it is there if the step panics.
        self.log.push(Envelope { seq: cause, at, cause, event: Event::Input(input.clone()) });
        let step = self.engine.step(input, at);
        for event in step.events.into_iter().skip(1) {
            let seq = Seq(self.log.len() as u64 + 1);
            self.log.push(Envelope { seq, at, cause, event });
        }
        step.effects
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.world.perform(effect, self.now);
        }
    }

    fn fail(&mut self, law: Law, words: String) {
        let seq = Seq(self.log.len() as u64);
        self.broken.get_or_insert(Broken { law, seq, words });
    }
}

#[cfg(test)]
mod tests {
    use domain::{Decision, JobId};

    use super::*;
    use crate::{check, fault};

    #[test]
    fn an_album_that_was_cancelled_and_added_again_is_completed_by_the_first_description() {
        let reused = |life: &Life| {
            life.log.iter().any(|envelope| {
                let (job, from) = (JobId(2), JobId(1));
                envelope.event == Event::Decision(Decision::ReleaseReused { job, from })
            })
        };
        let lives = (0..).map(|seed| run(seed, &fault::drawn(seed)));
        let life = lives.into_iter().find(reused).expect("people change their minds");
        let fetched = life.log.iter().any(|envelope| match &envelope.event {
            Event::Input(Input::Observation(Observation::ReleaseFetched { job, .. })) => job.0 != 1,
            _ => false,
        });
        assert!(life.is_completed() && !fetched);
        check::all(&life).unwrap();
    }

    #[test]
    fn a_life_without_faults_is_quiet() {
        let life = run(1, &[]);
        check::all(&life).unwrap();
        assert_eq!(life.crashes, 0);
    }
}
