//! Steps the inputs of a history again and compares every decision, byte for byte, with the recorded
//! one. It changes nothing, and stops at the first difference: what follows one is its consequence.

use std::fmt;
use std::time::{Duration, Instant};

use domain::{Envelope, Event, Input, Observation, Seq, Timestamp, render};
use eventlog::EncodeError;

use crate::difference;

/// A history that agrees with what this program concludes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Inputs that were stepped.
    pub inputs: u64,
    /// Decisions that were compared.
    pub decisions: u64,
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
    /// An event could not be encoded for the comparison.
    #[error("an event could not be encoded")]
    Encode(#[from] EncodeError),
    /// The events could not be had.
    #[error("the history could not be read")]
    Read(#[source] E),
}

/// The first difference between a history and this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Where it is; when nothing is recorded there, where it would be.
    pub seq: Seq,
    /// What is recorded; `None` when the step ends before.
    pub expected: Option<Event>,
    /// What this program concludes; `None` when it concludes nothing more.
    pub actual: Option<Event>,
    /// The input of the step.
    pub cause: Envelope,
    /// Version of the decision rules that recorded it, if the history tells.
    pub recorded_engine: Option<u32>,
    /// Version of the rules of this program.
    pub engine: u32,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |event: &Option<Event>| {
            event.as_ref().map_or_else(|| "nothing".to_owned(), render::event_text)
        };
        writeln!(f, "event {} is not what this program concludes", self.seq)?;
        writeln!(f, "  cause     {}", render::line(&self.cause))?;
        writeln!(f, "  expected  {}", text(&self.expected))?;
        write!(f, "  actual    {}", text(&self.actual))?;
        if let (Some(expected), Some(actual)) = (&self.expected, &self.actual) {
            for field in difference::fields(expected, actual) {
                let side = |side: Option<String>| side.unwrap_or_else(|| "absent".to_owned());
                let (first, second) = (side(field.first), side(field.second));
                write!(f, "\n    {}: expected {first}, actual {second}", field.path)?;
            }
        }
        match self.recorded_engine {
            Some(recorded) if recorded != self.engine => write!(
                f,
                "\n  note      recorded by decision rules {recorded}, and these are {}: they may \
                 well decide otherwise",
                self.engine
            ),
            Some(_) | None => Ok(()),
        }
    }
}

impl std::error::Error for Divergence {}

/// Verifies a history that begins with its first event. `step` is the engine: it is given each input
/// and its time, in order, and returns the input followed by its decisions; `engine` is the version of
/// its rules.
///
/// # Errors
/// At the first event that is missing, cannot be read, or is not what `step` concludes.
pub fn verify<E: std::error::Error + 'static>(
    envelopes: impl IntoIterator<Item = Result<Envelope, E>>,
    engine: u32,
    mut step: impl FnMut(Input, Timestamp) -> Vec<Event>,
) -> Result<Verified, VerifyError<E>> {
    let start = Instant::now();
    let mut verified =
        Verified { inputs: 0, decisions: 0, runs: 0, last: Seq(0), elapsed: Duration::ZERO };
    let mut recorded_engine = None;
    let mut current: Option<Stepped> = None;
    for envelope in envelopes {
        let envelope = envelope.map_err(VerifyError::Read)?;
        let expected = Seq(verified.last.0.saturating_add(1));
        if envelope.seq != expected {
            return Err(VerifyError::Gap { expected, found: envelope.seq });
        }
        let (seq, cause) = (envelope.seq, envelope.cause);
        verified.last = seq;
        match envelope.event {
            Event::Input(ref input) => {
                if let Some(finished) = current.take() {
                    finished.end(seq, engine)?;
                }
                if cause != seq {
                    return Err(VerifyError::Orphan { seq, cause });
                }
                if let Input::Observation(Observation::NodeStarted { engine, .. }) = input {
                    recorded_engine = Some(*engine);
                    verified.runs += 1;
                }
                verified.inputs += 1;
                let concluded = step(input.clone(), envelope.at).into_iter();
                let event = envelope.event.clone();
                let mut stepped = Stepped { cause: envelope, concluded, recorded_engine };
                stepped.compare(seq, event, engine)?;
                current = Some(stepped);
            }
            Event::Decision(_) => match &mut current {
                Some(stepped) if stepped.cause.seq == cause => {
                    verified.decisions += 1;
                    stepped.compare(seq, envelope.event, engine)?;
                }
                Some(_) | None => return Err(VerifyError::Orphan { seq, cause }),
            },
        }
    }
    if let Some(finished) = current {
        finished.end(Seq(verified.last.0.saturating_add(1)), engine)?;
    }
    verified.elapsed = start.elapsed();
    Ok(verified)
}

/// Verifies a history with the engine of this program.
///
/// # Errors
/// As [`verify`].
pub fn verify_engine<E: std::error::Error + 'static>(
    envelopes: impl IntoIterator<Item = Result<Envelope, E>>,
) -> Result<Verified, VerifyError<E>> {
    let mut rules = engine::Engine::new();
    verify(envelopes, engine::VERSION, |input, at| rules.step(input, at).events)
}

/// A step being compared.
struct Stepped {
    cause: Envelope,
    concluded: std::vec::IntoIter<Event>,
    recorded_engine: Option<u32>,
}

impl Stepped {
    fn compare<E: std::error::Error>(
        &mut self,
        seq: Seq,
        recorded: Event,
        engine: u32,
    ) -> Result<(), VerifyError<E>> {
        let concluded = self.concluded.next();
        if let Some(concluded) = &concluded
            && eventlog::encode(concluded)? == eventlog::encode(&recorded)?
        {
            return Ok(());
        }
        Err(self.divergence(seq, Some(recorded), concluded, engine))
    }

    /// The step has no more recorded events, and `next` would be the position of another one.
    fn end<E: std::error::Error>(mut self, next: Seq, engine: u32) -> Result<(), VerifyError<E>> {
        match self.concluded.next() {
            None => Ok(()),
            surplus => Err(self.divergence(next, None, surplus, engine)),
        }
    }

    fn divergence<E: std::error::Error>(
        &self,
        seq: Seq,
        expected: Option<Event>,
        actual: Option<Event>,
        engine: u32,
    ) -> VerifyError<E> {
        VerifyError::Divergence(Box::new(Divergence {
            seq,
            expected,
            actual,
            cause: self.cause.clone(),
            recorded_engine: self.recorded_engine,
            engine,
        }))
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
    fn toy() -> impl FnMut(Input, Timestamp) -> Vec<Event> {
        let mut jobs = 0;
        move |input, _| {
            let decisions = match &input {
                Input::Command(Command::AddJob { release }) => {
                    jobs += 1;
                    vec![Decision::JobAdded { job: JobId(jobs), release: *release }]
                }
                Input::Command(Command::CancelJob { job } | Command::RetryJob { job }) => {
                    vec![Decision::CommandRefused { reason: CommandRefusal::UnknownJob(*job) }]
                }
                Input::Observation(_) => vec![],
            };
            let decisions = decisions.into_iter().map(Event::Decision);
            std::iter::once(Event::Input(input)).chain(decisions).collect()
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
        let mut step = toy();
        let mut history: Vec<Envelope> = Vec::new();
        for input in inputs() {
            let cause = Seq(history.len() as u64 + 1);
            for event in step(input, Timestamp(cause.0)) {
                let seq = Seq(history.len() as u64 + 1);
                history.push(Envelope { seq, at: Timestamp(cause.0), cause, event });
            }
        }
        history
    }

    fn verified(history: Vec<Envelope>) -> Result<Verified, VerifyError<Infallible>> {
        verify(history.into_iter().map(Ok), ENGINE, toy())
    }

    fn divergence(history: Vec<Envelope>) -> Divergence {
        match verified(history).unwrap_err() {
            VerifyError::Divergence(divergence) => *divergence,
            error => panic!("{error}"),
        }
    }

    #[test]
    fn a_history_agrees_with_the_engine_that_made_it() {
        let verified = verified(history()).unwrap();
        let counts = (verified.inputs, verified.decisions, verified.runs, verified.last);
        assert_eq!(counts, (4, 3, 1, Seq(7)));
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
        let at_end = divergence(short);
        assert_eq!((at_end.seq, at_end.expected), (Seq(7), None));

        let mut long = history();
        let mut surplus = long[6].clone();
        surplus.seq = Seq(8);
        long.push(surplus);
        let at_end = divergence(long);
        assert_eq!((at_end.seq, at_end.actual), (Seq(8), None));

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
        let other = |input, _| vec![Event::Input(input)];
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
            let events = rules.step(input, at).events;
            log.append(&[eventlog::Step::new(at, &events)]).unwrap();
        }
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
        assert_eq!(verified(vec![]).unwrap().last, Seq(0));
    }
}
