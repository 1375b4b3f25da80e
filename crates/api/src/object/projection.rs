//! A read model, and the events that it could not take in.

use async_graphql::{Enum, SimpleObject};
use projections::{State, Status};

use crate::scalar::{Count, Micros, Seq, small};

/// A read model: what is shown here is folded from the events by one of these.
#[derive(SimpleObject)]
pub(crate) struct Projection {
    /// Its name.
    name: String,
    /// The last event that its answers take into account.
    position: Seq,
    /// Durable events beyond that.
    lag: Count,
    /// Events folded in per second over the last 10 s, those of a rebuild included.
    rate_per_s: f64,
    /// Seconds until nothing is left to fold, at that rate; null while it stands still.
    seconds_left: Option<f64>,
    /// What it is doing.
    state: ProjectionState,
    /// While it is rebuilt: the last event that the new rows take into account.
    rebuilt_to: Option<Seq>,
    /// Why it has stopped, why the last rebuild was not put in service, or why it was begun anew.
    reason: Option<String>,
    /// Version of what answers; null before there is anything.
    version: Option<i32>,
    /// Events that it has gone on without and nobody has acknowledged.
    dead_letters: i32,
}

/// What a read model is doing.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProjectionState {
    /// It takes in what happens.
    Following,
    /// It is folded anew; until that is done, what was there answers.
    Rebuilding,
    /// It cannot go on; the reason says why.
    Stopped,
}

impl From<Status> for Projection {
    fn from(status: Status) -> Self {
        let (state, rebuilt_to) = match status.state {
            State::Following => (ProjectionState::Following, None),
            State::Rebuilding { to } => (ProjectionState::Rebuilding, Some(to)),
            State::Stopped => (ProjectionState::Stopped, None),
        };
        Self {
            name: status.name.to_owned(),
            position: status.position.into(),
            lag: Count(status.lag),
            rate_per_s: status.rate_per_s,
            seconds_left: status.seconds_left,
            state,
            rebuilt_to: rebuilt_to.map(Seq::from),
            reason: status.reason,
            version: status.version.map(small),
            dead_letters: small(status.dead_letters),
        }
    }
}

/// An event that a read model could not take in, and has gone on without.
#[derive(SimpleObject)]
pub(crate) struct DeadLetter {
    /// Its position, which is also its cursor.
    seq: Seq,
    /// When it was recorded.
    at: Micros,
    /// Why it could not be taken in.
    reason: String,
    /// Whether somebody has seen it and goes on without it.
    acknowledged: bool,
}

impl From<projections::DeadLetter> for DeadLetter {
    fn from(letter: projections::DeadLetter) -> Self {
        Self {
            seq: letter.seq.into(),
            at: letter.at.into(),
            reason: letter.reason,
            acknowledged: letter.acknowledged,
        }
    }
}
