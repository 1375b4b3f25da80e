//! A recorded event, worded as histories are.

use async_graphql::{Enum, ID, SimpleObject};
use domain::{Envelope, Input, render};

use crate::scalar::{Micros, Seq};

/// Something that was asked, seen or concluded.
#[derive(SimpleObject)]
pub(crate) struct Event {
    /// Its position in the log.
    seq: Seq,
    /// When its input entered.
    at: Micros,
    /// Position of the input that caused it; an input is its own cause.
    cause: Seq,
    /// The job it belongs to, if it belongs to one.
    job: Option<ID>,
    /// Which of the three it is.
    kind: EventKind,
    /// What happened, such as ChunkArrived.
    name: String,
    /// Name and particulars.
    text: String,
    /// The whole line of a history: position, time, name, particulars, cause.
    line: String,
}

/// How an event came about.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// It was asked by a person.
    Command,
    /// It was seen outside.
    Observation,
    /// It was concluded.
    Decision,
}

impl From<&Envelope> for Event {
    fn from(envelope: &Envelope) -> Self {
        Self {
            seq: envelope.seq.into(),
            at: envelope.at.into(),
            cause: envelope.cause.into(),
            job: envelope.event.job().map(|job| job.to_string().into()),
            kind: match &envelope.event {
                domain::Event::Input(Input::Command(_)) => EventKind::Command,
                domain::Event::Input(Input::Observation(_)) => EventKind::Observation,
                domain::Event::Decision(_) => EventKind::Decision,
            },
            name: render::name(&envelope.event).to_owned(),
            text: render::event_text(&envelope.event),
            line: render::line(envelope),
        }
    }
}
