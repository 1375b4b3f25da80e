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

/// When lives begin: a moment of 2026, as a moment near zero hides mistakes with time.
const BEGINNING: Timestamp = Timestamp(1_790_000_000_000_000);
/// Events within one simulated second after which the engine is taken to spin.
const BUSIEST: u32 = 3_000;
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
    let mut moods = Rng::new(seed, "moods");
    let mut life =
        Life { log: Vec::new(), engine: Engine::new(), world: World::new(seed), crashes: 0 };
    let mut at = BEGINNING;
    let started = Input::Observation(Observation::NodeStarted {
        policy,
        engine: VERSION,
        build: "sim".into(),
    });
    life.start(&started, at);
    let release = life.world.release();
    life.step(Input::Command(Command::AddJob { release }), at);
    let (mut idle_wakes, mut busy) = (0, 0u32);
    while !life.is_over() && at < BEGINNING.plus_ms(LONGEST_MS) {
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
        if now.ms_since(BEGINNING) / 1000 > at.ms_since(BEGINNING) / 1000 {
            busy = 0;
        }
        at = now.max(at);
        let events = life.engine.step(Input::Observation(seen), at);
        busy += events.events.len() as u32;
        assert!(busy < BUSIEST, "the engine spins at {at:?}: {:?}", life.log.last());
        life.append(events.events, at);
        if life.crashes < 20 && crashes.chance(crash_percent) {
            life.crashes += 1;
            life.world.crash();
            life.restart(&started, at);
        } else {
            life.perform(events.effects, at);
        }
        life.have_a_mood(&mut moods, at);
    }
    life
}

impl Life {
    /// People press buttons, and networks fail.
    fn have_a_mood(&mut self, moods: &mut Rng, at: Timestamp) {
        let Some(job) = self.engine.state().jobs.keys().next_back().copied() else { return };
        match moods.within(0, 1000) {
            0..4 => self.world.lose_session(at),
            4..34 => self.step(Input::Command(Command::RetryJob { job }), at),
            34 if job.0 < 3 => {
                self.step(Input::Command(Command::CancelJob { job }), at);
                let release = self.world.release();
                self.step(Input::Command(Command::AddJob { release }), at);
            }
            _ => {}
        }
    }

    fn is_over(&self) -> bool {
        self.engine.state().jobs.values().all(|job| job.phase.is_over())
            && !self.engine.state().jobs.is_empty()
    }

    /// True when the album stands in the library: the last job asked for it.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        let last = self.engine.state().jobs.values().next_back();
        last.is_some_and(|job| job.phase == JobPhase::Completed)
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
        assert_eq!(engine.digest(), self.engine.digest(), "recovery asks for other effects");
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

#[cfg(test)]
mod tests {
    use domain::{Decision, JobId};

    use super::*;
    use crate::check;

    #[test]
    fn an_album_that_was_cancelled_and_added_again_is_completed_by_the_first_description() {
        let reused = |life: &Life| {
            life.log.iter().any(|envelope| {
                let (job, from) = (JobId(2), JobId(1));
                envelope.event == Event::Decision(Decision::ReleaseReused { job, from })
            })
        };
        let lives = (0..).map(|seed| run(seed, Policy::default(), 2));
        let life = lives.into_iter().find(reused).expect("people change their minds");
        let fetched = life.log.iter().any(|envelope| match &envelope.event {
            Event::Input(Input::Observation(Observation::ReleaseFetched { job, .. })) => job.0 != 1,
            _ => false,
        });
        assert!(life.is_completed() && !fetched);
        check::replays(&life.log).unwrap();
        check::conserves(&life.log).unwrap();
        check::forgets_no_refusal(&life.log).unwrap();
    }
}
