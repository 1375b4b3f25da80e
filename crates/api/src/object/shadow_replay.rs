//! How the shadow replay is doing: a second engine that decides again what the node decides.

use async_graphql::{Enum, SimpleObject};
use replay::shadow::Status;

use crate::scalar::{Count, Seq};

/// A second engine that is given what was recorded, and compared with what was decided.
#[derive(SimpleObject)]
pub(crate) struct ShadowReplay {
    /// How it is doing.
    state: ShadowState,
    /// The last event that it looked at.
    position: Seq,
    /// Durable events beyond that.
    lag: Count,
    /// Events up to there that could not be compared: other decision rules recorded them, or they follow
    /// a divergence in their run.
    uncompared: Count,
    /// Steps that did not come out as they are recorded.
    divergences: Count,
    /// The last of them.
    last_divergence: Option<ShadowDivergence>,
    /// Why it looks no further.
    reason: Option<String>,
}

/// How a shadow replay is doing; of several, the first that is true from below.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShadowState {
    /// Everything that could be compared came out as it is recorded.
    Ok,
    /// So far it did, and there is more to compare.
    Behind,
    /// Something did not come out as it is recorded. That is a defect: please report it.
    Diverged,
    /// It looks no further; the reason says why.
    Off,
}

/// A step that did not come out as it is recorded.
#[derive(SimpleObject)]
pub(crate) struct ShadowDivergence {
    /// The input of the step.
    position: Seq,
    /// The recorded digest of everything up to the end of the step, in hexadecimal; null when none is.
    recorded: Option<String>,
    /// The same as it came out.
    replayed: String,
    /// What differs, and what led to it.
    explanation: String,
}

impl ShadowReplay {
    pub(crate) fn new(status: Status, durable: domain::Seq) -> Self {
        let lag = durable.0.saturating_sub(status.position.0);
        let state = if status.stopped.is_some() {
            ShadowState::Off
        } else if status.divergences > 0 {
            ShadowState::Diverged
        } else if lag > 0 {
            ShadowState::Behind
        } else {
            ShadowState::Ok
        };
        let last_divergence = status.last.map(|last| ShadowDivergence {
            position: last.cause.into(),
            recorded: last.recorded.map(|digest| format!("{digest:016x}")),
            replayed: format!("{:016x}", last.replayed),
            explanation: last.divergence.to_string(),
        });
        Self {
            state,
            position: status.position.into(),
            lag: Count(lag),
            uncompared: Count(status.uncompared),
            divergences: Count(status.divergences),
            last_divergence,
            reason: status.stopped,
        }
    }
}
