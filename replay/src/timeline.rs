//! The engine at any position of a history: recovered from the nearest snapshot before it. The snapshots
//! are copies of the engine in memory, so they cannot be older than the program that reads them.

use domain::{Envelope, Seq};
use engine::Engine;

use crate::recorded::Recorded;

/// Events from one snapshot to the next.
const EVERY: usize = 10_000;

/// A history that can be entered anywhere.
#[derive(Debug)]
pub struct Timeline {
    events: Vec<Envelope>,
    /// The engine after none, [`EVERY`], twice [`EVERY`] ... events.
    snapshots: Vec<Engine>,
}

/// Why there is no timeline. `E` is why its events could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TimelineError<E: std::error::Error + 'static> {
    /// An event is missing.
    #[error(
        "event {expected} is missing: the next one is {found}, and a state needs all before it"
    )]
    Gap {
        /// The position that should have come.
        expected: Seq,
        /// The position that came.
        found: Seq,
    },
    /// The events could not be had.
    #[error("the history could not be read")]
    Read(#[source] E),
}

impl Timeline {
    /// Reads a history from its first event to the end of the step that holds `until`.
    ///
    /// # Errors
    /// When an event is missing or cannot be had.
    pub fn read<R: Into<Recorded>, E: std::error::Error + 'static>(
        history: impl IntoIterator<Item = Result<R, E>>,
        until: Seq,
    ) -> Result<Self, TimelineError<E>> {
        let mut engine = Engine::new();
        let mut timeline = Self { events: Vec::new(), snapshots: vec![engine.clone()] };
        for event in history {
            let Recorded { envelope, .. } = event.map_err(TimelineError::Read)?.into();
            if envelope.seq > until && envelope.cause == envelope.seq {
                break;
            }
            let expected = Seq(timeline.last().0 + 1);
            if envelope.seq != expected {
                return Err(TimelineError::Gap { expected, found: envelope.seq });
            }
            engine.recover(&envelope);
            timeline.events.push(envelope);
            if timeline.events.len().is_multiple_of(EVERY) {
                timeline.snapshots.push(engine.clone());
            }
        }
        Ok(timeline)
    }

    /// The last position it knows.
    #[must_use]
    pub fn last(&self) -> Seq {
        Seq(self.events.len() as u64)
    }

    /// All events, the first one at position 1.
    #[must_use]
    pub fn events(&self) -> &[Envelope] {
        &self.events
    }

    /// The event at a position; `None` when it is not known.
    #[must_use]
    pub fn event(&self, seq: Seq) -> Option<&Envelope> {
        self.events.get(usize::try_from(seq.0).ok()?.checked_sub(1)?)
    }

    /// The events of the step that is at a position or holds it: an input and its decisions.
    #[must_use]
    pub fn step(&self, seq: Seq) -> Option<&[Envelope]> {
        let cause = self.event(seq)?.cause;
        let begin = usize::try_from(cause.0).ok()?.checked_sub(1)?;
        let step = self.events.get(begin..)?;
        let length = step.iter().take_while(|event| event.cause == cause).count();
        Some(&step[..length])
    }

    /// The engine after the event at a position; before all events at zero.
    #[must_use]
    pub fn engine(&self, seq: Seq) -> Option<Engine> {
        let events = usize::try_from(seq.0).ok()?;
        let since = self.events.get(..events)?;
        let nearest = events / EVERY;
        let mut engine = self.snapshots.get(nearest)?.clone();
        for envelope in &since[nearest * EVERY..] {
            engine.recover(envelope);
        }
        Some(engine)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn life() -> Vec<Envelope> {
        sim::run::run(3, &sim::fault::drawn(3)).log
    }

    fn timeline(log: &[Envelope], until: u64) -> Timeline {
        Timeline::read(log.iter().cloned().map(Ok::<_, Infallible>), Seq(until)).unwrap()
    }

    #[test]
    fn any_position_is_what_was_lived() {
        let log = life();
        let timeline = timeline(&log, u64::MAX);
        assert_eq!(timeline.last().0, log.len() as u64);
        let mut engine = Engine::new();
        for envelope in &log {
            engine.recover(envelope);
            let there = timeline.engine(envelope.seq).unwrap();
            assert_eq!(there.state(), engine.state(), "{}", envelope.seq);
            assert_eq!(there.digest(), engine.digest());
        }
        assert_eq!(timeline.engine(Seq(0)).unwrap().state(), Engine::new().state());
        assert!(timeline.engine(Seq(timeline.last().0 + 1)).is_none());
    }

    #[test]
    fn positions_on_both_sides_of_a_snapshot_are_right() {
        let add =
            domain::Event::Input(domain::Input::Observation(domain::Observation::SessionOpened));
        let log: Vec<_> = (1..=EVERY as u64 * 2 + 1)
            .map(|seq| Envelope {
                seq: Seq(seq),
                at: domain::Timestamp(seq),
                cause: Seq(seq),
                event: add.clone(),
            })
            .collect();
        let timeline = timeline(&log, u64::MAX);
        assert_eq!(timeline.snapshots.len(), 3);
        let mut engine = Engine::new();
        for envelope in &log {
            engine.recover(envelope);
            if (envelope.seq.0 as usize).abs_diff(EVERY) < 2 || envelope.seq == timeline.last() {
                assert_eq!(timeline.engine(envelope.seq).unwrap().digest(), engine.digest());
            }
        }
    }

    #[test]
    fn it_is_read_to_the_end_of_the_step_and_no_further() {
        let log = life();
        let decided = log.iter().find(|event| event.cause != event.seq).unwrap();
        let timeline = timeline(&log, decided.cause.0);
        let step = timeline.step(decided.seq).unwrap();
        assert_eq!((step[0].seq, step.last().unwrap().seq), (decided.cause, timeline.last()));
        assert!(step.len() > 1 && step.iter().all(|event| event.cause == decided.cause));
        assert_eq!(timeline.step(decided.cause), Some(step));
        let beyond = Seq(timeline.last().0 + 1);
        assert!(timeline.event(beyond).is_none() && timeline.step(beyond).is_none());
        assert!(timeline.event(Seq(0)).is_none());
    }

    #[test]
    fn a_history_with_a_gap_has_no_states() {
        let mut log = life();
        log.remove(4);
        let read = Timeline::read(log.into_iter().map(Ok::<_, Infallible>), Seq(u64::MAX));
        assert!(matches!(
            read.unwrap_err(),
            TimelineError::Gap { expected: Seq(5), found: Seq(6) }
        ));
    }
}
