//! The pure core: turns each input into decisions and the effects they ask for. It has no clock,
//! socket, disk or random numbers; live running, restart, replay and simulation are this same code.
//!
//! Reading order: [`Engine::step`], then [`state`] (what is remembered) and [`evolve`] (which event
//! changes what), then the modules in the order of [`REACTIONS`] and [`RULES`]. What a decision asks
//! of the outside is in [`effects`]; why something was decided is asked in [`explain`].

#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

pub mod state;

mod chat;
mod digest;
mod evolve;

pub mod explain;

mod effects;
mod job;
pub mod likeness;
mod lookup;
mod peer;
mod schedule;
mod search;
mod source;
mod swarm;
mod transfer;
mod verify;

#[cfg(test)]
mod testing;

use domain::{Decision, Effect, Envelope, Event, Input, Policy, SearchQueue, Timestamp};

pub use state::State;

use digest::Digest;
use explain::Maker;

/// Version of the decision rules. Where it matches, a replay agrees byte for byte; raise it with
/// any change that lets the same input lead to another decision.
pub const VERSION: u32 = 4;

/// The name of a module and what it decides by.
type Named<F> = (&'static str, F);
type React = fn(&State, &Input, Timestamp) -> Vec<Decision>;
type Rule = fn(&State, Timestamp) -> Vec<Decision>;

/// What follows from one input directly. Each is asked once, in this order, and decides on the
/// state that the one before has left.
const REACTIONS: [Named<React>; 7] = [
    ("job", job::react),
    ("lookup", lookup::react),
    ("source", source::react),
    ("swarm", swarm::react),
    ("transfer", transfer::react),
    ("verify", verify::react),
    ("chat", chat::react),
];

/// What must hold whatever the input was. Each is asked until it has nothing to add, in this order;
/// when one decides something, all are asked again.
const RULES: [Named<Rule>; 6] = [
    ("job", job::rule),
    ("lookup", lookup::rule),
    ("transfer", transfer::rule),
    ("search", search::rule),
    ("schedule", schedule::rule),
    ("swarm", swarm::rule),
];

/// What one input led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The input, then the decisions in order: append these before anything is performed.
    pub events: Vec<Event>,
    /// What the decisions ask of the outside.
    pub effects: Vec<Effect>,
    /// Stands for everything up to here: see [`Engine::digest`].
    pub digest: u64,
}

/// The state and the only ways to change it.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    state: State,
    digest: Digest,
}

impl Engine {
    /// The engine before its first event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an input that entered at `at` and decides.
    ///
    /// # Panics
    /// When the rules contradict each other and would decide for ever: a defect of this crate.
    #[must_use]
    pub fn step(&mut self, input: Input, at: Timestamp) -> Step {
        self.decide(input, at, |_, _, _, _| ())
    }

    /// Takes an input and decides; `watch` is shown who decides what on which state.
    fn decide(
        &mut self,
        input: Input,
        at: Timestamp,
        mut watch: impl FnMut(&State, &Input, Maker, &[Decision]),
    ) -> Step {
        let entered = Event::Input(input);
        self.state.evolve(&entered, at);
        self.digest.absorb(&entered, at, &[]);
        let Event::Input(input) = &entered else { unreachable!("made above") };

        let mut decided = Vec::new();
        let mut effects = Vec::new();
        for (module, react) in REACTIONS {
            let decisions = react(&self.state, input, at);
            watch(&self.state, input, Maker::Reaction(module), &decisions);
            self.take(decisions, at, &mut decided, &mut effects);
        }
        let mut rounds = 0u32;
        while let Some((module, decisions)) = self.first_rule(at) {
            rounds += 1;
            assert!(rounds < 1_000_000, "rules contradict each other; last: {:?}", decisions[0]);
            watch(&self.state, input, Maker::Rule(module), &decisions);
            self.take(decisions, at, &mut decided, &mut effects);
        }

        let mut events = Vec::with_capacity(decided.len() + 1);
        events.push(entered);
        events.extend(decided);
        Step { events, effects, digest: self.digest.value() }
    }

    fn first_rule(&self, at: Timestamp) -> Option<Named<Vec<Decision>>> {
        RULES
            .iter()
            .map(|(module, rule)| (*module, rule(&self.state, at)))
            .find(|(_, decisions)| !decisions.is_empty())
    }

    fn take(
        &mut self,
        decisions: Vec<Decision>,
        at: Timestamp,
        decided: &mut Vec<Event>,
        effects: &mut Vec<Effect>,
    ) {
        for decision in decisions {
            let event = Event::Decision(decision);
            self.state.evolve(&event, at);
            let Event::Decision(decision) = &event else { unreachable!("made above") };
            let before = effects.len();
            effects::of(&self.state, decision, effects);
            self.digest.absorb(&event, at, &effects[before..]);
            decided.push(event);
        }
    }

    /// Takes a recorded event at restart: changes the state and decides nothing.
    pub fn recover(&mut self, envelope: &Envelope) {
        let _ = self.asked(envelope);
    }

    /// Takes a recorded event as [`Engine::recover`] does, and says what it asked of the outside. That
    /// was done when it was recorded: it is for reading.
    #[must_use]
    pub fn asked(&mut self, envelope: &Envelope) -> Vec<Effect> {
        self.state.evolve(&envelope.event, envelope.at);
        let mut effects = Vec::new();
        if let Event::Decision(decision) = &envelope.event {
            effects::of(&self.state, decision, &mut effects);
        }
        self.digest.absorb(&envelope.event, envelope.at, &effects);
        effects
    }

    /// A number that stands for all inputs, decisions and effects so far, in their order. Where two
    /// engines have the same, they were told the same, concluded the same and asked for the same.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// What earlier decisions asked for and nobody has answered: to be done again after a restart,
    /// before the new run's `NodeStarted` is stepped. Transfers are not among them: they died with
    /// the process, and `NodeStarted` assigns their rest anew.
    #[must_use]
    pub fn resume(&self) -> Vec<Effect> {
        effects::unanswered(&self.state)
    }

    /// When to step with `DeadlineReached` if nothing else comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        [
            job::wake(&self.state),
            lookup::wake(&self.state),
            transfer::wake(&self.state),
            search::wake(&self.state),
            schedule::wake(&self.state),
            swarm::wake(&self.state),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The same engine under another policy, for asking what that would lead to. A node never does this:
    /// what a run decides by is recorded in its `NodeStarted`.
    #[must_use]
    pub fn under(mut self, policy: Policy) -> Self {
        self.state.run.policy = policy;
        self
    }

    /// How things stand with searches at `at`: for people who wonder why nothing happens.
    #[must_use]
    pub fn searches(&self, at: Timestamp) -> SearchQueue {
        search::queue(&self.state, at)
    }

    /// What is remembered, for reading.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}
