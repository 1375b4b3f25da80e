//! What the engine makes of one more input after a history, for tools that add to a log no node has open.

use domain::{Envelope, Event, Input, Timestamp};
use engine::Engine;

/// A step that would come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The moment of the last event, as nothing has happened since.
    pub at: Timestamp,
    /// The input and what is concluded from it.
    pub events: Vec<Event>,
    /// The engine's running digest after it.
    pub digest: u64,
}

/// The step that `input` would lead to.
///
/// # Errors
/// When the history cannot be had.
pub fn next<E>(
    history: impl IntoIterator<Item = Result<Envelope, E>>,
    input: Input,
) -> Result<Next, E> {
    let mut engine = Engine::new();
    let mut at = Timestamp(0);
    for envelope in history {
        let envelope = envelope?;
        at = envelope.at;
        engine.recover(&envelope);
    }
    let step = engine.step(input, at);
    Ok(Next { at, events: step.events, digest: step.digest })
}
