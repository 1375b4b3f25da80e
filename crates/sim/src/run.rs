//! One life of a node in a simulated world: the node's loop without its sockets. Crashes lose
//! everything but the log and the disk; what goes on afterwards went through the log.

use domain::observation::Observation;
use domain::{Command, Effect, Envelope, Event, Input, Policy, Seq, Timestamp};
use engine::state::JobPhase;
use engine::{Engine, VERSION};

use crate::rng::Rng;
use crate::world::World;

/// What a run left behind.
#[derive(Debug)]
pub struct Life {
    /// Everything recorded.
    pub log: Vec<Envelope>,
    /// The engine at the end.
    pub engine: Engine,
    /// The world at the end.
    pub world: World,
    /// Crashes survived.
    pub crashes: u32,
}

/// Longest simulated life.
const LONGEST_MS: u64 = 10 * 24 * 3_600_000;

/// Lives until the job is over or ten simulated days have passed, crashing in `crash_percent` of
/// the steps, between the append and the effects.
///
/// # Panics
/// When the engine asks to be woken again and again at a time that has passed: it would spin.
#[must_use]
pub fn run(seed: u64, policy: Policy, crash_percent: u64) -> Life {
    let mut crashes = Rng::new(seed, "crashes");
    let mut life =
        Life { log: Vec::new(), engine: Engine::new(), world: World::new(seed), crashes: 0 };
    let mut at = Timestamp(1_000_000);
    let started = Input::Observation(Observation::NodeStarted {
        policy,
        engine: VERSION,
        build: "sim".into(),
    });
    life.start(&started, at);
    let release = life.world.release();
    life.step(Input::Command(Command::AddJob { release }), at);
    let mut idle_wakes = 0;
    while !life.is_over() && at < Timestamp(0).plus_ms(LONGEST_MS) {
        let deadline = life.engine.deadline();
        let (now, seen) = match (life.world.next(deadline), deadline) {
            (Some(happened), _) => {
                idle_wakes = 0;
                happened
            }
            (None, Some(deadline)) => {
                idle_wakes = if deadline <= at { idle_wakes + 1 } else { 0 };
                assert!(idle_wakes < 3, "the engine spins at {at:?}: {:?}", life.log.last());
                (deadline.max(at), Observation::DeadlineReached)
            }
            (None, None) => break,
        };
        at = now.max(at);
        let events = life.engine.step(Input::Observation(seen), at);
        life.append(events.events, at);
        if life.crashes < 20 && crashes.chance(crash_percent) {
            life.crashes += 1;
            life.world.crash();
            life.restart(&started, at);
        } else {
            life.perform(events.effects, at);
        }
    }
    life
}

impl Life {
    fn is_over(&self) -> bool {
        self.engine.state().jobs.values().all(|job| job.phase.is_over())
            && !self.engine.state().jobs.is_empty()
    }

    /// True when the album stands in the library.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.engine.state().jobs.values().any(|job| job.phase == JobPhase::Completed)
    }

    fn start(&mut self, started: &Input, at: Timestamp) {
        let resumed = self.engine.resume();
        self.step(started.clone(), at);
        self.perform(resumed, at);
        self.world.log_in(at);
    }

    fn restart(&mut self, started: &Input, at: Timestamp) {
        let mut engine = Engine::new();
        for envelope in &self.log {
            engine.recover(envelope);
        }
        assert_eq!(engine.state(), self.engine.state(), "recovery is not what was lived");
        self.engine = engine;
        self.start(started, at);
    }

    fn step(&mut self, input: Input, at: Timestamp) {
        let step = self.engine.step(input, at);
        self.append(step.events, at);
        self.perform(step.effects, at);
    }

    fn append(&mut self, events: Vec<Event>, at: Timestamp) {
        let cause = Seq(self.log.len() as u64 + 1);
        for event in events {
            let seq = Seq(self.log.len() as u64 + 1);
            self.log.push(Envelope { seq, at, cause, event });
        }
    }

    fn perform(&mut self, effects: Vec<Effect>, at: Timestamp) {
        for effect in effects {
            self.world.perform(effect, at);
        }
    }
}
