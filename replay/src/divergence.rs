//! The first difference between a history and this program, with what led to it. How it is found is in
//! [`mod@crate::verify`].

use std::fmt;

use domain::{Effect, Envelope, Event, JobId, Seq, TrackKey, render};

use crate::difference;
use crate::recorded::Recorded;

/// The first difference between a history and this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Where it is; when nothing is recorded there, where it would be.
    pub seq: Seq,
    /// What differs.
    pub difference: Difference,
    /// The input of the step.
    pub cause: Envelope,
    /// The input that the job began with; see [`Divergence::trace`].
    pub job: Option<Envelope>,
    /// The last decision before the step about the same track, or else the same job.
    pub before: Option<Envelope>,
    /// Version of the decision rules that recorded it, if the history tells.
    pub recorded_engine: Option<u32>,
    /// Version of the rules of this program.
    pub engine: u32,
}

/// What differs.
// There is one of it, and it is boxed with the rest.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A decision.
    Decision {
        /// What is recorded; `None` when the step ends before.
        expected: Option<Event>,
        /// What this program concludes; `None` when it concludes nothing more.
        actual: Option<Event>,
    },
    /// The decisions of the step agree, and what they ask of the outside does not.
    Effects {
        /// The recorded digest.
        expected: u64,
        /// This program's.
        actual: u64,
        /// What this program asks for in the step. What was asked for then is not in the log.
        effects: Vec<Effect>,
    },
}

impl Divergence {
    /// Looks for what led to the step, in the same history read once more from its first event.
    ///
    /// # Errors
    /// When the history cannot be read up to the step.
    pub fn trace<R: Into<Recorded>, E>(
        &mut self,
        history: impl IntoIterator<Item = Result<R, E>>,
    ) -> Result<(), E> {
        let Some((job, track)) = self.subject() else { return Ok(()) };
        for event in history {
            let Recorded { envelope, .. } = event?.into();
            if envelope.seq >= self.cause.seq {
                break;
            }
            if let Event::Input(_) = envelope.event {
                // Only the cause of the job's first event is its beginning.
                if self.before.is_none() {
                    self.job = Some(envelope);
                }
            } else if envelope.event.job() == Some(job) {
                let better = self.before.as_ref().is_none_or(|before| {
                    track.is_none()
                        || envelope.event.track() == track
                        || before.event.track() != track
                });
                if better {
                    self.before = Some(envelope);
                }
            }
        }
        if self.before.is_none() {
            self.job = None;
        }
        Ok(())
    }

    /// The job it is about, and the track if it is about one.
    fn subject(&self) -> Option<(JobId, Option<TrackKey>)> {
        let decided = match &self.difference {
            Difference::Decision { expected, actual } => [expected.as_ref(), actual.as_ref()],
            Difference::Effects { .. } => [None, None],
        };
        let about = |event: &Event| Some((event.job()?, event.track()));
        decided.into_iter().flatten().chain([&self.cause.event]).find_map(about)
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.difference {
            Difference::Decision { .. } => {
                writeln!(f, "event {} is not what this program concludes", self.seq)?;
            }
            Difference::Effects { .. } => writeln!(
                f,
                "event {} has the same decisions as then, but does not ask for the same",
                self.seq
            )?,
        }
        if let Some(job) = &self.job {
            writeln!(f, "  job       {}", render::line(job))?;
        }
        if let Some(before) = &self.before {
            writeln!(f, "  before    {}", render::line(before))?;
        }
        writeln!(f, "  cause     {}", render::line(&self.cause))?;
        match &self.difference {
            Difference::Decision { expected, actual } => decision(f, expected, actual)?,
            Difference::Effects { expected, actual, effects } => {
                writeln!(f, "  expected  digest {expected:016x}")?;
                write!(f, "  actual    digest {actual:016x}")?;
                for effect in effects {
                    write!(f, "\n  asks for  {}", render::effect_text(effect))?;
                }
                if effects.is_empty() {
                    f.write_str("\n  asks for  nothing")?;
                }
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

fn decision(
    f: &mut fmt::Formatter<'_>,
    expected: &Option<Event>,
    actual: &Option<Event>,
) -> fmt::Result {
    let text = |event: &Option<Event>| {
        event.as_ref().map_or_else(|| "nothing".to_owned(), render::event_text)
    };
    writeln!(f, "  expected  {}", text(expected))?;
    write!(f, "  actual    {}", text(actual))?;
    if let (Some(expected), Some(actual)) = (expected, actual) {
        for field in difference::fields(expected, actual) {
            let side = |side: Option<String>| side.unwrap_or_else(|| "absent".to_owned());
            let (first, second) = (side(field.first), side(field.second));
            write!(f, "\n    {}: expected {first}, actual {second}", field.path)?;
        }
    }
    Ok(())
}

impl std::error::Error for Divergence {}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use domain::{Command, Decision, Input, Observation, ReleaseId, Timestamp};

    use super::*;

    fn envelope(seq: u64, cause: u64, event: Event) -> Envelope {
        Envelope { seq: Seq(seq), at: Timestamp(0), cause: Seq(cause), event }
    }

    fn history() -> Vec<Envelope> {
        let release = ReleaseId([1; 16]);
        let add = || Event::Input(Input::Command(Command::AddJob { release }));
        let woken = || Event::Input(Input::Observation(Observation::DeadlineReached));
        let waiting = |job, index| {
            let track = TrackKey { job: JobId(job), index };
            Event::Decision(Decision::TrackWaiting { track, until: Timestamp(0) })
        };
        let added = |job| Event::Decision(Decision::JobAdded { job: JobId(job), release });
        let events = [
            (1, add()),
            (1, added(1)),
            (3, add()),
            (3, added(2)),
            (5, woken()),
            (5, waiting(2, 0)),
            (5, waiting(2, 1)),
            (5, waiting(1, 0)),
            (9, woken()),
            (9, waiting(2, 0)),
        ];
        (1..).zip(events).map(|(seq, (cause, event))| envelope(seq, cause, event)).collect()
    }

    fn traced(expected: Option<Event>, cause: usize) -> (Option<u64>, Option<u64>) {
        let mut divergence = Divergence {
            seq: Seq(0),
            difference: Difference::Decision { expected, actual: None },
            cause: history()[cause - 1].clone(),
            job: None,
            before: None,
            recorded_engine: None,
            engine: 1,
        };
        divergence.trace(history().into_iter().map(Ok::<_, Infallible>)).unwrap();
        (divergence.job.map(|job| job.seq.0), divergence.before.map(|before| before.seq.0))
    }

    #[test]
    fn what_led_to_it_is_the_beginning_of_its_job_and_the_last_word_on_its_track() {
        let event = |seq: usize| Some(history()[seq - 1].event.clone());
        assert_eq!(traced(event(10), 9), (Some(3), Some(6)));
        let job_done = Event::Decision(Decision::JobCompleted { job: JobId(1) });
        assert_eq!(traced(Some(job_done), 9), (Some(1), Some(8)));
        assert_eq!(traced(event(4), 3), (None, None));
        assert_eq!(traced(None, 9), (None, None));
    }
}
