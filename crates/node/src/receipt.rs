//! What is told to whoever gave a command: at once, and again when it is given again. Nothing is
//! remembered for that but the log, so it also holds after a restart. When a command counts as given
//! before is known by [`eventlog::Log::taken`].

use api::{Receipt, Reused};
use domain::{Decision, Event, Seq};
use eventlog::{ReadError, Reader};

use crate::inbox::Entry;

/// The receipt of a step whose last event is `last`.
pub(crate) fn of(last: Seq, events: Vec<Event>) -> Receipt {
    let decision = |event| match event {
        Event::Decision(decision) => Some(decision),
        Event::Input(_) => None,
    };
    let decisions: Vec<Decision> = events.into_iter().filter_map(decision).collect();
    Receipt { seq: last, decisions }
}

/// Answers a command as it was answered when it was taken, at `taken`. A log that cannot be read leaves
/// it without an answer, as a node that stops does.
pub(crate) fn again(reader: &Reader, taken: Seq, Entry { input, reply, .. }: Entry) {
    let Some(reply) = reply else { return };
    match recorded(reader, taken) {
        Ok((last, events)) => {
            let is_same = events.first() == Some(&Event::Input(input));
            // Whoever asked may have gone.
            let _ = reply.send(if is_same { Ok(of(last, events)) } else { Err(Reused(taken)) });
        }
        Err(error) => tracing::error!(%taken, %error, "what a command led to cannot be read"),
    }
}

/// The events of the step that began at `first`, and the position of the last one.
fn recorded(reader: &Reader, first: Seq) -> Result<(Seq, Vec<Event>), ReadError> {
    let mut last = first;
    let mut events = Vec::new();
    for envelope in reader.range(first..=reader.durable()) {
        let envelope = envelope?;
        if envelope.cause != first {
            break;
        }
        last = envelope.seq;
        events.push(envelope.event);
    }
    Ok((last, events))
}
