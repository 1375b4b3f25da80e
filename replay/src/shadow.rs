//! Verifies a history while it is still being written: a second engine is given the same inputs, and each
//! step is compared as [`mod@crate::verify`] does. It starts no thread and waits for nothing: `node::shadow`
//! does, and tells by a [`Board`] how far it is.
//!
//! Unlike `verify` it goes on after a difference, and past what other rules recorded: it takes recorded
//! events as they are then, as a node does when it starts, and compares again from the next run on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Envelope, Event, Input, Observation, Seq};
use engine::{Engine, VERSION};

use crate::divergence::Divergence;
use crate::recorded::Recorded;
use crate::verify::{Rules, Stepped};

/// A second engine beside a log.
#[derive(Debug, Clone, Default)]
pub struct Shadow {
    engine: Engine,
    /// The last event taken.
    position: Seq,
    /// Whether what is taken is compared.
    compares: bool,
    /// Version of the rules of the present run.
    recorded: Option<u32>,
}

/// A step that this program would not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diverged {
    /// The input of the step.
    pub cause: Seq,
    /// What differs.
    pub divergence: Box<Divergence>,
    /// The recorded digest after the step, if there is one.
    pub recorded: Option<u64>,
    /// This program's.
    pub replayed: u64,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is what this program concludes.
    Same,
    /// It was recorded by other rules, or after a difference in the same run.
    Uncompared,
    /// It is not. The shadow is to begin anew, see [`Shadow::anew`].
    Differs(Diverged),
}

impl Shadow {
    /// The last event taken.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Takes the next step: an input and all its decisions.
    ///
    /// # Panics
    /// When there is no event in it.
    pub fn take(&mut self, step: Vec<Recorded>) -> Taken {
        let last = step.last().expect("a step has its input").envelope.seq;
        let first = &step[0].envelope;
        if let Event::Input(Input::Observation(Observation::NodeStarted { engine, .. })) =
            &first.event
        {
            self.recorded = Some(*engine);
            self.compares = *engine == VERSION;
        }
        self.position = last;
        if !self.compares {
            step.iter().for_each(|recorded| self.engine.recover(&recorded.envelope));
            return Taken::Uncompared;
        }
        match self.compared(step) {
            Ok(()) => Taken::Same,
            Err(diverged) => Taken::Differs(diverged),
        }
    }

    fn compared(&mut self, step: Vec<Recorded>) -> Result<(), Diverged> {
        let rules = Rules { recorded: self.recorded, these: VERSION };
        let mut events = step.into_iter();
        let Some(Recorded { envelope: Envelope { seq: cause, at, event, .. }, digest }) =
            events.next()
        else {
            return Ok(());
        };
        let Event::Input(input) = event else {
            // A log's steps begin with inputs; what does not is for `log verify` to say.
            return Ok(());
        };
        let made = self.engine.step(input, at);
        let replayed = made.digest;
        let mut stepped = Stepped::of(cause, at, digest, made);
        let diverged = |divergence| Diverged { cause, divergence, recorded: digest, replayed };
        let mut next = Seq(cause.0 + 1);
        for Recorded { envelope, .. } in events {
            next = Seq(envelope.seq.0 + 1);
            stepped.compare(envelope.seq, envelope.event, rules).map_err(diverged)?;
        }
        stepped.end(next, rules).map_err(diverged)
    }

    /// The shadow after a difference: what was recorded up to its position is to be taken once more, by
    /// [`Shadow::retake`], so that it is where the log is and not where it strayed to.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { recorded: self.recorded, ..Self::default() }
    }

    /// Takes an event as it was recorded.
    pub fn retake(&mut self, envelope: &Envelope) {
        self.engine.recover(envelope);
        self.position = envelope.seq;
    }
}

/// How a shadow is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The last event that was looked at.
    pub position: Seq,
    /// Events up to there that could not be compared: other rules recorded them, or they follow a
    /// difference in their run.
    pub uncompared: u64,
    /// Steps that were not what this program concludes.
    pub divergences: u64,
    /// The last of them.
    pub last: Option<Diverged>,
    /// Why it looks no further, if it does not.
    pub stopped: Option<String>,
}

/// Where a shadow tells how it is doing. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Status>>);

impl Board {
    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Tells of a change.
    pub fn tell(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    // A panic elsewhere leaves nothing here that is not true.
    fn lock(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::{Decision, JobId, Policy};

    use super::*;

    /// A life of several runs, in steps with their digests.
    fn steps(seed: u64) -> Vec<Vec<Recorded>> {
        let log = sim::run::run(seed, &sim::fault::drawn(seed)).log;
        let mut engine = Engine::new();
        let steps = log.chunk_by(|_, next| next.cause != next.seq);
        let recorded = steps.map(|step| {
            step.iter().for_each(|envelope| engine.recover(envelope));
            let digest = Some(engine.digest());
            let with = |envelope: &Envelope| Recorded {
                digest: digest.filter(|_| envelope.seq == envelope.cause),
                envelope: envelope.clone(),
            };
            step.iter().map(with).collect()
        });
        recorded.collect()
    }

    fn starts(steps: &[Vec<Recorded>]) -> Vec<usize> {
        let is_start = |step: &Vec<Recorded>| {
            let event = &step[0].envelope.event;
            matches!(event, Event::Input(Input::Observation(Observation::NodeStarted { .. })))
        };
        (0..steps.len()).filter(|place| is_start(&steps[*place])).collect()
    }

    /// A seed whose node is started more than once.
    fn restarted() -> Vec<Vec<Recorded>> {
        let mut lives = (0..).map(steps);
        lives.find(|steps| starts(steps).len() > 1).expect("processes die")
    }

    /// Follows a log as a node does.
    fn follow(steps: &[Vec<Recorded>]) -> (Vec<Taken>, Shadow) {
        let mut shadow = Shadow::default();
        let mut taken = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            taken.push(shadow.take(step.clone()));
            if let Some(Taken::Differs(_)) = taken.last() {
                shadow = shadow.anew();
                steps[..=place].iter().flatten().for_each(|it| shadow.retake(&it.envelope));
            }
        }
        (taken, shadow)
    }

    #[test]
    fn what_was_lived_is_the_same_over_all_its_runs() {
        for seed in 0..20 {
            let steps = steps(seed);
            let (taken, shadow) = follow(&steps);
            assert!(taken.iter().all(|taken| *taken == Taken::Same), "{seed}");
            assert_eq!(shadow.position(), steps.last().unwrap().last().unwrap().envelope.seq);
        }
    }

    #[test]
    fn a_wrong_digest_and_a_wrong_decision_are_told_and_the_next_run_is_compared_again() {
        let clean = restarted();
        let second = starts(&clean)[1];
        let place = clean[..second].iter().position(|step| step.len() > 1).unwrap();
        let mut digest = clean.clone();
        digest[place][0].digest = digest[place][0].digest.map(|digest| digest ^ 1);
        let mut decision = clean.clone();
        decision[place][1].envelope.event =
            Event::Decision(Decision::JobCompleted { job: JobId(9) });
        for (steps, is_decision) in [(digest, false), (decision, true)] {
            let (taken, _) = follow(&steps);
            let Taken::Differs(diverged) = &taken[place] else { panic!("{:?}", taken[place]) };
            assert_eq!(diverged.cause, clean[place][0].envelope.seq);
            assert_eq!(Some(diverged.replayed), clean[place][0].digest);
            assert_eq!(diverged.recorded != Some(diverged.replayed), !is_decision);
            assert!(taken[..place].iter().all(|taken| *taken == Taken::Same));
            assert!(taken[place + 1..second].iter().all(|taken| *taken == Taken::Uncompared));
            // A wrong decision changed what the later runs knew.
            if !is_decision {
                assert!(taken[second..].iter().all(|taken| *taken == Taken::Same));
            }
        }
    }

    #[test]
    fn what_other_rules_recorded_is_taken_as_it_is() {
        let mut steps = restarted();
        let second = starts(&steps)[1];
        let started = Observation::NodeStarted {
            policy: Policy::default(),
            engine: VERSION + 1,
            build: "newer".into(),
        };
        steps[0][0].envelope.event = Event::Input(Input::Observation(started));
        let (taken, _) = follow(&steps);
        assert!(taken[..second].iter().all(|taken| *taken == Taken::Uncompared));
        // The digests stand for another first event.
        assert!(matches!(taken[second], Taken::Differs(_)));
    }
}
