//! Replaces the names, paths and words of people in a history by others, such that it decides the same.
//! What stands for what is in [`names`], where such things stand in events in [`places`].
//!
//! That it decides the same is not believed but tried: the engine lives the history twice, once as it was
//! and once as it is written, and where the second life is not the first one with other names, there is
//! no redacted history. What other rules recorded, or what follows a decision that these rules would not
//! make, is taken as it is until the next run, as a node does when it starts. The digests written are those
//! of what is written, so that it verifies anywhere; where a recorded digest did not hold, neither does the
//! one written in its place.

mod forgotten;
mod names;
mod places;

use std::collections::{BTreeSet, VecDeque};
use std::iter::Peekable;
use std::mem::discriminant;

use domain::{Effect, Envelope, Event, Input, Observation, PeerId, Seq, Timestamp, render};
use engine::{Engine, VERSION};
use eventlog::{Damage, EncodeError, Record, encode};

use forgotten::Forgotten;
use names::Names;

/// Why a history was not redacted. `E` is why its events could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RedactError<E: std::error::Error + 'static> {
    /// Other names would lead to another decision.
    #[error(
        "with names and paths replaced, event {seq} would lead to something else, so the history would \
         not be true; it can only be had with them\n  with    {expected}\n  without {actual}"
    )]
    Changed {
        /// The input.
        seq: Seq,
        /// What it led to, with the names replaced.
        expected: String,
        /// What it would lead to if the names had been others.
        actual: String,
    },
    /// Only what begins with the first event and leaves none out can be lived again.
    #[error("event {expected} is missing: the next one is {found}")]
    Gap {
        /// The position that should have come.
        expected: Seq,
        /// The position that came.
        found: Seq,
    },
    /// An event is not understood, so what it tells of people is not known.
    #[error("event {seq}: {damage}")]
    Event {
        /// Its position.
        seq: Seq,
        /// What is wrong with it.
        damage: Damage,
    },
    /// An event could not be encoded.
    #[error("an event could not be encoded")]
    Encode(#[from] EncodeError),
    /// The events could not be had.
    #[error("the history could not be read")]
    Read(#[source] E),
}

/// What stands for the names of one history.
#[derive(Debug, Clone)]
pub struct Redaction {
    pseudonyms: Pseudonyms,
}

/// Whose names are replaced.
#[derive(Debug, Clone)]
enum Pseudonyms {
    Everybody(Names),
    Some(Forgotten),
}

impl Pseudonyms {
    fn hear(&mut self, event: Event) {
        match self {
            Self::Everybody(names) => names.hear(event),
            Self::Some(forgotten) => forgotten.hear(event),
        }
    }

    fn close(&mut self) {
        match self {
            Self::Everybody(names) => names.close(),
            Self::Some(forgotten) => forgotten.close(),
        }
    }

    fn replace(&mut self, event: Event) -> Event {
        match self {
            Self::Everybody(names) => names.replace(event),
            Self::Some(forgotten) => forgotten.replace(event),
        }
    }
}

impl Redaction {
    /// Reads a history for the names in it.
    ///
    /// # Errors
    /// When its events cannot be had or are not understood.
    pub fn of<E: std::error::Error + 'static>(
        history: impl IntoIterator<Item = Result<Record, E>>,
    ) -> Result<Self, RedactError<E>> {
        Self::heard(Pseudonyms::Everybody(Names::new("peer")), history)
    }

    /// The same for some peers only, whose names become `drawn` and a number; callers draw it anew each
    /// time, and keep it nowhere.
    ///
    /// # Errors
    /// As [`Redaction::of`].
    pub fn of_peers<E: std::error::Error + 'static>(
        peers: BTreeSet<PeerId>,
        drawn: &str,
        history: impl IntoIterator<Item = Result<Record, E>>,
    ) -> Result<Self, RedactError<E>> {
        Self::heard(Pseudonyms::Some(Forgotten::new(peers, drawn)), history)
    }

    fn heard<E: std::error::Error + 'static>(
        mut pseudonyms: Pseudonyms,
        history: impl IntoIterator<Item = Result<Record, E>>,
    ) -> Result<Self, RedactError<E>> {
        for record in history {
            let record = record.map_err(RedactError::Read)?;
            pseudonyms.hear(understood(&record)?.event);
        }
        pseudonyms.close();
        Ok(Self { pseudonyms })
    }

    /// The same history without the names: what [`Redaction::of`] was shown, from its first event on.
    pub fn records<E: std::error::Error + 'static, I: Iterator<Item = Result<Record, E>>>(
        &self,
        history: I,
    ) -> Redacted<I> {
        Redacted {
            history: history.peekable(),
            pseudonyms: self.pseudonyms.clone(),
            recorded: Lives::default(),
            deciding: Some(Lives::default()),
            is_by_these: true,
            last: Seq(0),
            step: VecDeque::new(),
            over: false,
        }
    }
}

fn understood<E: std::error::Error + 'static>(record: &Record) -> Result<Envelope, RedactError<E>> {
    record.envelope().map_err(|damage| RedactError::Event { seq: record.seq, damage })
}

/// A history with its names, and without.
#[derive(Debug, Clone, Default)]
struct Lives {
    original: Engine,
    redacted: Engine,
}

/// A history on its way to be written without its names; see [`Redaction::records`].
pub struct Redacted<I: Iterator> {
    history: Peekable<I>,
    pseudonyms: Pseudonyms,
    /// What was recorded, taken as it is.
    recorded: Lives,
    /// The present run, decided anew. None when other rules recorded it, or decided otherwise within it.
    deciding: Option<Lives>,
    /// Whether these rules recorded the present run.
    is_by_these: bool,
    last: Seq,
    /// The rest of the present step.
    step: VecDeque<Record>,
    over: bool,
}

impl<E: std::error::Error + 'static, I: Iterator<Item = Result<Record, E>>> Redacted<I> {
    /// Takes the next step; false at the end.
    fn fill(&mut self) -> Result<bool, RedactError<E>> {
        let Some(first) = self.take()? else { return Ok(false) };
        let Envelope { seq, at, cause, event } = understood(&first)?;
        let Event::Input(input) = event else {
            return Err(RedactError::Gap { expected: cause, found: seq });
        };
        if let Input::Observation(Observation::NodeStarted { engine, .. }) = &input {
            self.start(*engine);
        }
        let told = first.digest;
        let concluded = self.live(input, seq, at)?;
        let mut recorded = vec![self.push(first)?];
        while let Some(Ok(next)) = self.history.peek()
            && next.cause == cause
        {
            let Some(decided) = self.take()? else { break };
            recorded.push(self.push(decided)?);
        }
        if concluded.is_some_and(|concluded| concluded != recorded) {
            self.deciding = None;
        }
        if let Some(input) = self.step.front_mut() {
            let (was, is) = (self.recorded.original.digest(), self.recorded.redacted.digest());
            input.digest = told.and_then(|told| match told {
                _ if told == was => Some(is),
                // What did not hold must not come to hold.
                _ if self.is_by_these => Some(!is),
                // Other rules may have asked for something else; what that would be now is not known.
                _ => None,
            });
        }
        Ok(true)
    }

    /// A run of some version's rules begins.
    fn start(&mut self, version: u32) {
        self.is_by_these = version == VERSION;
        if !self.is_by_these {
            self.deciding = None;
        } else if self.deciding.is_none() {
            self.deciding = Some(self.recorded.clone());
        }
    }

    /// Lives one input both ways, if this run is decided anew; what it leads to with the names.
    fn live(
        &mut self,
        input: Input,
        seq: Seq,
        at: Timestamp,
    ) -> Result<Option<Vec<Event>>, RedactError<E>> {
        let Some(lives) = &mut self.deciding else { return Ok(None) };
        let Event::Input(renamed) = self.pseudonyms.replace(Event::Input(input.clone())) else {
            unreachable!("an input stays one")
        };
        let with = lives.original.step(input, at);
        let without = lives.redacted.step(renamed, at);
        let expected: Vec<_> =
            with.events.iter().map(|event| self.pseudonyms.replace(event.clone())).collect();
        let kinds = |effects: &[Effect]| effects.iter().map(discriminant).collect::<Vec<_>>();
        let is_same = expected == without.events && kinds(&with.effects) == kinds(&without.effects);
        if !is_same {
            let differs = expected.iter().zip(&without.events).take_while(|(a, b)| a == b).count();
            let text = |events: &[Event]| {
                events.get(differs).map_or_else(|| "nothing".to_owned(), render::event_text)
            };
            return Err(RedactError::Changed {
                seq,
                expected: text(&expected),
                actual: text(&without.events),
            });
        }
        Ok(Some(with.events))
    }

    fn take(&mut self) -> Result<Option<Record>, RedactError<E>> {
        let Some(record) = self.history.next() else { return Ok(None) };
        let record = record.map_err(RedactError::Read)?;
        let expected = Seq(self.last.0 + 1);
        if record.seq != expected {
            return Err(RedactError::Gap { expected, found: record.seq });
        }
        self.last = record.seq;
        Ok(Some(record))
    }

    /// Takes a record into the present step; the event as it was.
    fn push(&mut self, record: Record) -> Result<Event, RedactError<E>> {
        let was = understood(&record)?;
        let is = Envelope { event: self.pseudonyms.replace(was.event.clone()), ..was };
        let (schema, payload) = encode(&is.event)?;
        self.recorded.original.recover(&was);
        self.recorded.redacted.recover(&is);
        // The caller's name of a command is the caller's, so it stays in the log and is told to nobody.
        let command = match self.pseudonyms {
            Pseudonyms::Everybody(_) => None,
            Pseudonyms::Some(_) => record.command,
        };
        self.step.push_back(Record { schema, payload, command, ..record });
        Ok(was.event)
    }
}

impl<E: std::error::Error + 'static, I: Iterator<Item = Result<Record, E>>> Iterator
    for Redacted<I>
{
    type Item = Result<Record, RedactError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.step.is_empty() && !self.over {
            match self.fill() {
                Ok(more) => self.over = !more,
                Err(error) => {
                    self.over = true;
                    self.step.clear();
                    return Some(Err(error));
                }
            }
        }
        self.step.pop_front().map(Ok)
    }
}

#[cfg(test)]
mod tests;
