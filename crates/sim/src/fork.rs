//! What would have happened: the real engine goes on from a position of a recorded history, with another
//! policy or without a peer, among peers that are as the recorded ones were. What people did after that
//! position, when the node was started again and when it was logged in are taken from the history; what
//! was under way ends as it did; everything else is a model's answer, see [`crate::fitted`]. What came of it
//! is counted in [`outcome`] and laid beside the recorded end.

mod key;
mod outcome;
mod spread;

use std::collections::{BTreeMap, BTreeSet};

use domain::decision::{CutReason, DropReason};
use domain::observation::TransferFault;
use domain::policy::FieldError;
use domain::{
    AssignmentId, ByteRange, Command, Decision, Effect, Envelope, Event, Input, Observation,
    PeerId, Policy, Seq, SourceId, Timestamp, TrackKey,
};
use engine::Engine;
use engine::state::Standing;

pub use outcome::{Changed, Changes, Outcome};
pub use spread::{Spread, Use};

use crate::fitted::Fitted;
use key::Key;
use outcome::Base;

/// Longest life after the fork.
const LONGEST_MS: u64 = crate::run::LONGEST_MS;
/// Most events of it, and so many times those that were recorded after the fork: a life that has more
/// decides in circles.
const MOST_EVENTS: usize = 200_000;
const MOST_TIMES: usize = 20;

/// What is to be different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    policy: Vec<(String, u64)>,
    gone: Option<PeerId>,
}

impl Change {
    /// Another number in the policy.
    ///
    /// # Errors
    /// When the policy has no such field.
    pub fn set(&mut self, field: &str, number: u64) -> Result<(), FieldError> {
        Policy::default().set(field, number)?;
        self.policy.push((field.to_owned(), number));
        Ok(())
    }

    /// Nobody of this name any more: its offers and its transfers are gone.
    pub fn drop_peer(&mut self, peer: PeerId) {
        self.gone = Some(peer);
    }

    fn is_any(&self) -> bool {
        *self != Self::default()
    }

    fn applied(&self, mut policy: Policy) -> Policy {
        for (field, number) in &self.policy {
            policy.set(field, *number).expect("it was set before");
        }
        policy
    }
}

/// A history at one of its positions.
#[derive(Debug, Clone)]
pub struct Fork<'a> {
    before: &'a [Envelope],
    after: &'a [Envelope],
    /// What of it did not come of our asking: people, starts and log-ins.
    elsewhere: Vec<(Timestamp, Input)>,
    engine: Engine,
    world: Fitted,
    base: Base,
    now: Timestamp,
}

impl<'a> Fork<'a> {
    /// Goes to the end of the step that holds a position; `None` when the history has no such position.
    /// The history begins with its first event and has no gaps.
    #[must_use]
    pub fn at(log: &'a [Envelope], at: Seq) -> Option<Self> {
        let place = usize::try_from(at.0).ok()?.checked_sub(1)?;
        let cause = log.get(place)?.cause;
        let rest = log[place..].iter().take_while(|envelope| envelope.cause == cause).count();
        let (before, after) = log.split_at(place + rest);
        let mut engine = Engine::new();
        before.iter().for_each(|envelope| engine.recover(envelope));
        let world = Fitted::of(log, before.len());
        let base = Base::of(before, engine.state());
        let now = before.last().map_or(Timestamp(0), |envelope| envelope.at);
        let elsewhere = elsewhere(after);
        Some(Self { before, after, elsewhere, engine, world, base, now })
    }

    /// The last event before the fork.
    #[must_use]
    pub fn position(&self) -> Seq {
        Seq(self.before.len() as u64)
    }

    /// When that was.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Whom the history knows.
    pub fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.world.peers()
    }

    /// Whether the history knows a peer.
    #[must_use]
    pub fn knows(&self, peer: &PeerId) -> bool {
        self.world.knows(peer)
    }

    /// What came of it as it was recorded.
    #[must_use]
    pub fn recorded(&self) -> Outcome {
        self.base.outcome(self.after)
    }

    /// What comes of it with a change, in the world of a seed.
    #[must_use]
    pub fn run(&self, change: &Change, seed: u64) -> Outcome {
        self.base.outcome(&self.live(change, seed))
    }

    /// The events of that life.
    #[must_use]
    pub fn live(&self, change: &Change, seed: u64) -> Vec<Envelope> {
        let state = self.engine.state();
        let open = &state.transfers.open;
        let asked = open.iter().map(|(id, open)| (*id, open.peer.clone())).collect();
        let policy = change.applied(state.run.policy);
        let mut life = Life {
            engine: self.engine.clone().under(policy),
            world: self.world.begin(seed, state.run.session, asked, change.gone.clone()),
            log: Vec::new(),
            next: self.position().0 + 1,
            most: MOST_EVENTS.saturating_add(self.after.len().saturating_mul(MOST_TIMES)),
            now: self.now,
        };
        self.go_on(&mut life, change);
        if let Some(peer) = &change.gone {
            life.without(peer);
        }
        if change.is_any() {
            life.enter(Input::Observation(Observation::DeadlineReached), self.now);
        }
        life.live(&self.elsewhere, change);
        life.log
    }

    /// What is under way ends as it was recorded; where the history ends before that, the model goes on.
    fn go_on(&self, life: &mut Life, change: &Change) {
        let state = self.engine.state();
        let resumed = self.engine.resume();
        let mut open: BTreeSet<Key> = resumed.iter().filter_map(Key::of_effect).collect();
        open.extend(state.transfers.open.keys().map(|id| Key::Transfer(*id)));
        let mut answered = BTreeSet::new();
        let mut reached: BTreeMap<AssignmentId, (u64, Timestamp)> = BTreeMap::new();
        for envelope in self.after {
            if open.is_empty() {
                break;
            }
            match &envelope.event {
                // Whatever was under way ended with the process.
                Event::Input(Input::Observation(Observation::NodeStarted { .. })) => {
                    answered.extend(open.iter().cloned());
                    break;
                }
                Event::Input(Input::Observation(seen)) => {
                    let Some(key) = Key::of_answer(seen).filter(|key| open.contains(key)) else {
                        continue;
                    };
                    if let Observation::ChunkArrived { assignment, range, .. } = seen {
                        reached.insert(*assignment, (range.end, envelope.at));
                    }
                    if key.is_closed_by(seen) {
                        answered.insert(key.clone());
                        open.remove(&key);
                    }
                    if !self.is_of(seen, change.gone.as_ref()) {
                        life.world.expect(envelope.at, seen.clone());
                    }
                }
                // What still came of it was for nobody.
                Event::Decision(Decision::AssignmentCut { assignment, .. }) => {
                    answered.insert(Key::Transfer(*assignment));
                    open.remove(&Key::Transfer(*assignment));
                }
                _ => {}
            }
        }
        for effect in resumed {
            if Key::of_effect(&effect).is_none_or(|key| !answered.contains(&key)) {
                life.world.perform(effect, self.now);
            }
        }
        for (id, transfer) in &state.transfers.open {
            let Some(track) = state.track(transfer.track) else { continue };
            let Some(source) = track.source(transfer.source) else { continue };
            let (start, at) = reached.get(id).copied().unwrap_or((track.held, self.now));
            if reached.contains_key(id) {
                life.world.gives(transfer.track, track.attempt, &source.peer, &source.path);
            }
            if !answered.contains(&Key::Transfer(*id)) && start < transfer.size {
                let effect = Effect::FetchRange {
                    track: transfer.track,
                    attempt: track.attempt,
                    assignment: *id,
                    peer: source.peer.clone(),
                    path: source.path.clone(),
                    size: transfer.size,
                    range: ByteRange { start, end: transfer.size },
                    overlap: 0,
                    content: None,
                };
                life.world.perform(effect, at);
            }
        }
    }

    /// Whether news is of a peer.
    fn is_of(&self, seen: &Observation, peer: Option<&PeerId>) -> bool {
        let Some(peer) = peer else { return false };
        match (seen, Key::of_answer(seen)) {
            (Observation::SearchAnswered { peer: who, .. }, _) => who == peer,
            (_, Some(Key::Transfer(id))) => {
                let open = self.engine.state().transfers.open.get(&id);
                open.is_some_and(|open| open.peer == *peer)
            }
            _ => false,
        }
    }
}

fn elsewhere(after: &[Envelope]) -> Vec<(Timestamp, Input)> {
    let inputs = after.iter().filter_map(|envelope| match &envelope.event {
        Event::Input(
            input @ (Input::Command(_)
            | Input::Observation(
                Observation::NodeStarted { .. }
                | Observation::SessionOpened
                | Observation::SessionClosed { .. },
            )),
        ) => Some((envelope.at, input.clone())),
        _ => None,
    });
    inputs.collect()
}

/// A life after the fork.
struct Life {
    engine: Engine,
    world: Fitted,
    log: Vec<Envelope>,
    next: u64,
    /// How long the log may get.
    most: usize,
    now: Timestamp,
}

impl Life {
    fn live(&mut self, elsewhere: &[(Timestamp, Input)], change: &Change) {
        let end = self.now.plus_ms(LONGEST_MS);
        let mut elsewhere = elsewhere.iter().peekable();
        let mut idle_wakes = 0;
        while self.now < end && self.log.len() < self.most && idle_wakes < 4 {
            let is_asked = |(_, input): &&(Timestamp, Input)| matches!(input, Input::Command(_));
            let is_done = self.engine.state().unfinished.is_empty();
            if is_done && !elsewhere.clone().any(|other| is_asked(&other)) {
                break;
            }
            let deadline = self.engine.deadline();
            let other = elsewhere.peek().map(|(at, _)| *at);
            let limit = [deadline, other].into_iter().flatten().min();
            if let Some((at, seen)) = self.world.next(limit) {
                idle_wakes = 0;
                self.enter(Input::Observation(seen), at);
            } else if other.is_some() && other == limit {
                let Some((at, input)) = elsewhere.next() else { break };
                self.elsewhere(input.clone(), *at, change);
            } else if let Some(deadline) = deadline {
                idle_wakes = if deadline <= self.now { idle_wakes + 1 } else { 0 };
                self.enter(Input::Observation(Observation::DeadlineReached), deadline);
            } else {
                break;
            }
        }
    }

    fn elsewhere(&mut self, input: Input, at: Timestamp, change: &Change) {
        match input {
            Input::Observation(Observation::NodeStarted { policy, engine, build }) => {
                let resumed = self.engine.resume();
                self.world.crash();
                let policy = change.applied(policy);
                let started = Observation::NodeStarted { policy, engine, build };
                self.enter(Input::Observation(started), at);
                self.perform(resumed);
            }
            Input::Observation(Observation::SessionOpened) => {
                self.world.session(true, at);
                self.enter(input, at);
            }
            Input::Observation(Observation::SessionClosed { .. }) => {
                self.world.session(false, at);
                self.enter(input, at);
            }
            // A view's matter, and what is said to people, which changes nothing else.
            Input::Command(
                Command::SkipDeadLetter { .. }
                | Command::SendChat { .. }
                | Command::MarkChatRead { .. },
            ) => {}
            input => self.enter(input, at),
        }
    }

    /// Takes a peer out: its transfers end and nothing that it offers is of use.
    fn without(&mut self, peer: &PeerId) {
        let state = self.engine.state();
        let open = state.transfers.open.iter().filter(|(_, open)| open.peer == *peer);
        let mut decided: Vec<Decision> = open
            .map(|(id, open)| Decision::AssignmentCut {
                track: open.track,
                assignment: *id,
                reason: CutReason::Failed,
            })
            .collect();
        for (job, tracks) in state.jobs.iter().map(|(id, job)| (*id, &job.tracks)) {
            for (index, track) in (0u16..).zip(tracks) {
                let theirs = (0u32..).map(SourceId).zip(&track.sources).filter(|(_, source)| {
                    source.peer == *peer
                        && matches!(source.standing, Standing::Usable | Standing::SetAside)
                });
                decided.extend(theirs.map(|(source, _)| Decision::SourceDropped {
                    track: TrackKey { job, index },
                    source,
                    reason: DropReason::Failed(TransferFault::PeerOffline),
                }));
            }
        }
        let cause = Seq(self.next);
        let entered = Event::Input(Input::Observation(Observation::DeadlineReached));
        for event in std::iter::once(entered).chain(decided.into_iter().map(Event::Decision)) {
            let envelope = self.envelope(cause, event);
            self.engine.recover(&envelope);
            self.log.push(envelope);
        }
    }

    fn enter(&mut self, input: Input, at: Timestamp) {
        self.now = at.max(self.now);
        let cause = Seq(self.next);
        let step = self.engine.step(input, self.now);
        for event in step.events {
            let envelope = self.envelope(cause, event);
            self.log.push(envelope);
        }
        self.perform(step.effects);
    }

    fn envelope(&mut self, cause: Seq, event: Event) -> Envelope {
        let seq = Seq(self.next);
        self.next += 1;
        Envelope { seq, at: self.now, cause, event }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.world.perform(effect, self.now);
        }
    }
}

#[cfg(test)]
mod tests;
