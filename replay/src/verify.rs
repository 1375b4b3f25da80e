//! Steps the inputs of a history again and compares every decision with the recorded one, and the
//! digest of everything, effects too, where it was recorded. It changes nothing, and stops at the first
//! difference: what follows one is its consequence.
//!
//! Decisions are compared as values. They hold no number with more than one form, so equal values are
//! equal bytes in the log.

use std::time::{Duration, Instant};

use domain::{Effect, Envelope, Event, Input, Observation, Seq, Timestamp};
use engine::Step;

use crate::divergence::{Difference, Divergence};
use crate::recorded::Recorded;

/// A history that agrees with what this program concludes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Inputs that were stepped.
    pub inputs: u64,
    /// Decisions that were compared.
    pub decisions: u64,
    /// Steps whose digest was recorded and compared, and with it the effects they ask for.
    pub digests: u64,
    /// Runs of the node in the history.
    pub runs: u64,
    /// The last event.
    pub last: Seq,
    /// How long reading, stepping and comparing took.
    pub elapsed: Duration,
}

/// Why a history was not verified. `E` is why its events could not be had.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError<E: std::error::Error + 'static> {
    /// This program concludes something else.
    #[error(transparent)]
    Divergence(Box<Divergence>),
    /// An event is missing: a history of one job, or one that was cut, cannot be replayed.
    #[error("event {expected} is missing: the next one is {found}, and a replay needs them all")]
    Gap {
        /// The position that should have come.
        expected: Seq,
        /// The position that came.
        found: Seq,
    },
    /// A decision does not belong to the input before it.
    #[error("event {seq} says it was caused by {cause}, which is not the input before it")]
    Orphan {
        /// The event.
        seq: Seq,
        /// The cause it names.
        cause: Seq,
    },
    /// The events could not be had.
    #[error("the history could not be read")]
    Read(#[source] E),
}

/// Verifies a history that begins with its first event. `step` is the engine: it is given each input
/// and its time, in order; `engine` is the version of its rules.
///
/// # Errors
/// At the first event that is missing, cannot be read, or is not what `step` concludes, and at the
/// first step that asks for something else.
pub fn verify<R: Into<Recorded>, E: std::error::Error + 'static>(
    events: impl IntoIterator<Item = Result<R, E>>,
    engine: u32,
    mut step: impl FnMut(Input, Timestamp) -> Step,
) -> Result<Verified, VerifyError<E>> {
    let start = Instant::now();
    let mut verified = Verified {
        inputs: 0,
        decisions: 0,
        digests: 0,
        runs: 0,
        last: Seq(0),
        elapsed: Duration::ZERO,
    };
    let mut rules = Rules { recorded: None, these: engine };
    let mut current: Option<Stepped> = None;
    for event in events {
        let Recorded { envelope, digest } = event.map_err(VerifyError::Read)?.into();
        let Envelope { seq, at, cause, event } = envelope;
        let expected = Seq(verified.last.0.saturating_add(1));
        if seq != expected {
            return Err(VerifyError::Gap { expected, found: seq });
        }
        verified.last = seq;
        match event {
            Event::Input(input) => {
                if let Some(finished) = current.take() {
                    finished.end(seq, rules).map_err(VerifyError::Divergence)?;
                }
                if cause != seq {
                    return Err(VerifyError::Orphan { seq, cause });
                }
                if let Input::Observation(Observation::NodeStarted { engine, .. }) = &input {
                    rules.recorded = Some(*engine);
                    verified.runs += 1;
                }
                verified.inputs += 1;
                verified.digests += u64::from(digest.is_some());
                current = Some(Stepped::of(seq, at, digest, step(input, at)));
            }
            Event::Decision(_) => match &mut current {
                Some(stepped) if stepped.cause.seq == cause => {
                    verified.decisions += 1;
                    stepped.compare(seq, event, rules).map_err(VerifyError::Divergence)?;
                }
                Some(_) | None => return Err(VerifyError::Orphan { seq, cause }),
            },
        }
    }
    if let Some(finished) = current {
        let next = Seq(verified.last.0.saturating_add(1));
        finished.end(next, rules).map_err(VerifyError::Divergence)?;
    }
    verified.elapsed = start.elapsed();
    Ok(verified)
}

/// Verifies a history with the engine of this program.
///
/// # Errors
/// As [`verify`].
pub fn verify_engine<R: Into<Recorded>, E: std::error::Error + 'static>(
    events: impl IntoIterator<Item = Result<R, E>>,
) -> Result<Verified, VerifyError<E>> {
    let mut rules = engine::Engine::new();
    verify(events, engine::VERSION, |input, at| rules.step(input, at))
}

/// Versions of the decision rules.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Of those that recorded it, if the history tells.
    pub(crate) recorded: Option<u32>,
    /// Of this program's.
    pub(crate) these: u32,
}

/// A step being compared.
pub(crate) struct Stepped {
    cause: Envelope,
    concluded: std::vec::IntoIter<Event>,
    effects: Vec<Effect>,
    recorded_digest: Option<u64>,
    digest: u64,
}

impl Stepped {
    pub(crate) fn of(seq: Seq, at: Timestamp, recorded_digest: Option<u64>, step: Step) -> Self {
        let Step { events, effects, digest } = step;
        let mut concluded = events.into_iter();
        // The input went in by value and comes out first, so it need not be copied to be told.
        let event = concluded.next().expect("a step begins with its input");
        let cause = Envelope { seq, at, cause: seq, event };
        Self { cause, concluded, effects, recorded_digest, digest }
    }

    pub(crate) fn compare(
        &mut self,
        seq: Seq,
        recorded: Event,
        rules: Rules,
    ) -> Result<(), Box<Divergence>> {
        match self.concluded.next() {
            Some(concluded) if concluded == recorded => Ok(()),
            actual => {
                let difference = Difference::Decision { expected: Some(recorded), actual };
                Err(self.divergence(seq, difference, rules))
            }
        }
    }

    /// The step has no more recorded events, and `next` would be the position of another one.
    pub(crate) fn end(mut self, next: Seq, rules: Rules) -> Result<(), Box<Divergence>> {
        if let Some(surplus) = self.concluded.next() {
            let difference = Difference::Decision { expected: None, actual: Some(surplus) };
            return Err(self.divergence(next, difference, rules));
        }
        match self.recorded_digest {
            Some(expected) if expected != self.digest => {
                let effects = std::mem::take(&mut self.effects);
                let difference = Difference::Effects { expected, actual: self.digest, effects };
                Err(self.divergence(self.cause.seq, difference, rules))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn divergence(&self, seq: Seq, difference: Difference, rules: Rules) -> Box<Divergence> {
        Box::new(Divergence {
            seq,
            difference,
            cause: self.cause.clone(),
            job: None,
            before: None,
            recorded_engine: rules.recorded,
            engine: rules.these,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use domain::decision::CommandRefusal;
    use domain::{Command, Decision, JobId, Policy, ReleaseId};

    use super::*;

    const ENGINE: u32 = 4;

    /// A toy engine: numbers jobs, and refuses every other command.
    fn toy() -> impl FnMut(Input, Timestamp) -> Step {
        let mut jobs = 0;
        move |input, at| {
            let decisions = match &input {
                Input::Command(Command::AddJob { release }) => {
                    jobs += 1;
                    vec![Decision::JobAdded { job: JobId(jobs), release: *release }]
                }
                Input::Command(Command::CancelJob { job } | Command::RetryJob { job }) => {
                    vec![Decision::CommandRefused { reason: CommandRefusal::UnknownJob(*job) }]
                }
                Input::Command(
                    Command::SkipDeadLetter { .. }
                    | Command::SendChat { .. }
                    | Command::MarkChatRead { .. },
                )
                | Input::Observation(_) => vec![],
            };
            let decisions = decisions.into_iter().map(Event::Decision);
            let events = std::iter::once(Event::Input(input)).chain(decisions).collect();
            let effects = vec![Effect::Share { path: format!("{}.flac", at.0) }];
            Step { events, effects, digest: at.0 * 17 }
        }
    }

    fn inputs() -> Vec<Input> {
        let add = |id| Input::Command(Command::AddJob { release: ReleaseId([id; 16]) });
        let started = Observation::NodeStarted {
            policy: Policy::default(),
            engine: ENGINE,
            build: "test".into(),
        };
        vec![
            Input::Observation(started),
            add(1),
            Input::Command(Command::RetryJob { job: JobId(9) }),
            add(2),
        ]
    }

    /// 1 NodeStarted, 2 AddJob, 3 JobAdded, 4 RetryJob, 5 CommandRefused, 6 AddJob, 7 JobAdded
    fn history() -> Vec<Envelope> {
        recorded().into_iter().map(|recorded| recorded.envelope).collect()
    }

    /// The same with the digest of each step.
    fn recorded() -> Vec<Recorded> {
        let mut step = toy();
        let mut history: Vec<Recorded> = Vec::new();
        for input in inputs() {
            let cause = Seq(history.len() as u64 + 1);
            let stepped = step(input, Timestamp(cause.0));
            for event in stepped.events {
                let seq = Seq(history.len() as u64 + 1);
                let envelope = Envelope { seq, at: Timestamp(cause.0), cause, event };
                let digest = Some(stepped.digest).filter(|_| seq == cause);
                history.push(Recorded { envelope, digest });
            }
        }
        history
    }

    fn verified(history: Vec<impl Into<Recorded>>) -> Result<Verified, VerifyError<Infallible>> {
        verify(history.into_iter().map(Ok), ENGINE, toy())
    }

    fn divergence(history: Vec<impl Into<Recorded>>) -> Divergence {
        match verified(history).unwrap_err() {
            VerifyError::Divergence(divergence) => *divergence,
            error => panic!("{error}"),
        }
    }

    fn sides(history: Vec<Envelope>) -> (Seq, bool, bool) {
        let Divergence { seq, difference, .. } = divergence(history);
        match difference {
            Difference::Decision { expected, actual } => {
                (seq, expected.is_some(), actual.is_some())
            }
            effects @ Difference::Effects { .. } => panic!("{effects:?}"),
        }
    }

    #[test]
    fn a_history_agrees_with_the_engine_that_made_it() {
        let verified = verified(history()).unwrap();
        let counts = (verified.inputs, verified.decisions, verified.runs, verified.last);
        assert_eq!((counts, verified.digests), ((4, 3, 1, Seq(7)), 0));
        assert_eq!(tests::verified(recorded()).unwrap().digests, 4);
    }

    #[test]
    fn effects_that_were_not_asked_for_then_are_a_difference_of_their_own() {
        let mut history = recorded();
        assert_eq!(history[3].digest, Some(4 * 17));
        history[3].digest = Some(99);
        let shown = divergence(history.clone());
        assert_eq!(shown.seq, Seq(4));
        assert_eq!(
            shown.to_string(),
            "event 4 has the same decisions as then, but does not ask for the same\n\
             \x20 cause     000004 00:00:00.000  <-  RetryJob            job=9\n\
             \x20 expected  digest 0000000000000063\n\
             \x20 actual    digest 0000000000000044\n\
             \x20 asks for  Share               path=\"4.flac\""
        );
        // Where the decisions differ too, they are what is shown.
        let release = ReleaseId([2; 16]);
        history[5].digest = Some(99);
        history[3].digest = None;
        history[6].envelope.event = Event::Decision(Decision::JobAdded { job: JobId(7), release });
        assert_eq!(divergence(history).seq, Seq(7));
        let mut last = recorded();
        last[5].digest = Some(99);
        assert_eq!(divergence(last).seq, Seq(6));
    }

    #[test]
    fn the_first_other_decision_is_shown_with_its_fields() {
        let mut history = history();
        let release = ReleaseId([2; 16]);
        history[6].event = Event::Decision(Decision::JobAdded { job: JobId(7), release });
        let shown = divergence(history).to_string();
        assert_eq!(
            shown,
            "event 7 is not what this program concludes\n\
             \x20 cause     000006 00:00:00.000  <-  AddJob              \
             release=02020202-0202-0202-0202-020202020202\n\
             \x20 expected  JobAdded            job=7 release=02020202-0202-0202-0202-020202020202\n\
             \x20 actual    JobAdded            job=2 release=02020202-0202-0202-0202-020202020202\n\
             \x20   0.job.0: expected 7, actual 2"
        );
    }

    #[test]
    fn a_decision_too_few_or_too_many_is_a_difference() {
        let mut short = history();
        short.remove(6);
        assert_eq!(sides(short), (Seq(7), false, true));

        let mut long = history();
        let mut surplus = long[6].clone();
        surplus.seq = Seq(8);
        long.push(surplus);
        assert_eq!(sides(long), (Seq(8), true, false));

        let mut missing = history();
        missing.remove(2);
        for (seq, envelope) in (1..).zip(&mut missing) {
            let shift = envelope.seq.0 - seq;
            envelope.seq = Seq(seq);
            envelope.cause = Seq(envelope.cause.0 - shift);
        }
        assert_eq!(divergence(missing).seq, Seq(3));
    }

    #[test]
    fn another_version_of_the_rules_is_noted() {
        let history = history().into_iter().map(Ok::<_, Infallible>);
        let other =
            |input, _| Step { events: vec![Event::Input(input)], effects: Vec::new(), digest: 0 };
        let error = verify(history, ENGINE + 1, other).unwrap_err().to_string();
        assert!(error.contains("recorded by decision rules 4, and these are 5"), "{error}");
        assert!(error.contains("actual    nothing"), "{error}");
    }

    #[test]
    fn what_the_engine_decided_and_the_log_kept_is_decided_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, reader) = eventlog::Log::open(dir.path()).unwrap();
        let mut rules = engine::Engine::new();
        for (second, input) in (1..).zip(inputs()) {
            let at = Timestamp(second * 1_000_000);
            let Step { events, digest, .. } = rules.step(input, at);
            let digest = Some(digest);
            log.append(&[eventlog::Step { digest, ..eventlog::Step::new(at, &events) }]).unwrap();
        }
        let records = reader.records(Seq(1)..=reader.durable());
        let recorded = records.map(|record| Recorded::try_from(record.unwrap()));
        assert_eq!(verify_engine(recorded).unwrap().digests, 4);
        let all = || reader.range(Seq(1)..=Seq(u64::MAX));
        let verified = verify_engine(all()).unwrap();
        assert_eq!((verified.inputs, verified.last), (4, reader.durable()));
        assert!(verified.decisions >= 3, "{verified:?}");
        let mut changed: Vec<_> = all().map(Result::unwrap).collect();
        changed[2].event = Event::Decision(Decision::JobCompleted { job: JobId(1) });
        let error = verify_engine(changed.into_iter().map(Ok::<_, Infallible>)).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("event 3 is not what this program concludes"), "{error}");
    }

    #[test]
    fn what_is_not_a_whole_history_is_refused() {
        let mut gap = history();
        gap.remove(4);
        assert!(matches!(
            verified(gap).unwrap_err(),
            VerifyError::Gap { expected: Seq(5), found: Seq(6) }
        ));
        let mut orphan = history();
        orphan[4].cause = Seq(2);
        assert!(matches!(
            verified(orphan).unwrap_err(),
            VerifyError::Orphan { seq: Seq(5), cause: Seq(2) }
        ));
        let mut headless = history();
        headless.remove(0);
        assert!(matches!(verified(headless).unwrap_err(), VerifyError::Gap { .. }));
        assert_eq!(verified(history()[..0].to_vec()).unwrap().last, Seq(0));
    }
}
