//! Why something was decided: who decided it, and on what grounds. An explanation makes the step again
//! with the same code and looks on, so it cannot tell another story than the decision.

use std::fmt;

use domain::{Decision, Input, Timestamp};

use crate::state::State;
use crate::{Engine, schedule, search, verify};

pub use crate::peer::{Cost, Known};
pub use crate::schedule::{Candidate, Rank, Unfit};
pub use crate::search::Budget;
pub use crate::verify::{Evidence, Named};

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// The module's reaction to the input.
    Reaction(&'static str),
    /// The module's rule, which looks at the state alone.
    Rule(&'static str),
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reaction(module) => write!(f, "the reaction of `{module}`"),
            Self::Rule(module) => write!(f, "the rule of `{module}`"),
        }
    }
}

/// What a decision rests on besides the input and the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grounds {
    /// All sources of the track: those that could be asked, the best first, then the others.
    Candidates(Vec<Candidate>),
    /// The budget of searches.
    Budget(Budget),
    /// What the file is and what it should be.
    Evidence(Evidence),
    /// Nothing that the decision and its cause do not say.
    Plain,
}

/// A decision with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The decision.
    pub decision: Decision,
    /// Who decided it.
    pub by: Maker,
    /// On what grounds.
    pub grounds: Grounds,
}

impl Engine {
    /// What this engine would decide upon an input, each decision with its reasons.
    ///
    /// # Panics
    /// As [`Engine::step`].
    #[must_use]
    pub fn explain(&self, input: Input, at: Timestamp) -> Vec<Explained> {
        let mut explained = Vec::new();
        let _ = self.clone().decide(input, at, |state, input, by, decisions| {
            explained.extend(decisions.iter().map(|decision| {
                let grounds = grounds(state, input, decision, at);
                Explained { decision: decision.clone(), by, grounds }
            }));
        });
        explained
    }
}

fn grounds(state: &State, input: &Input, decision: &Decision, at: Timestamp) -> Grounds {
    let grounds = match decision {
        Decision::RangeAssigned { track, .. } => state
            .track(*track)
            .map(|track| Grounds::Candidates(schedule::candidates(state, track, at))),
        Decision::SearchPlanned { .. } => search::budget(state, at).map(Grounds::Budget),
        Decision::TrackVerified { track, .. } | Decision::TrackRefused { track, .. } => {
            verify::evidence(state, *track, input).map(Grounds::Evidence)
        }
        _ => None,
    };
    grounds.unwrap_or(Grounds::Plain)
}

#[cfg(test)]
mod tests {
    use domain::TrackKey;
    use domain::decision::Choice;
    use domain::observation::{Observation, TransferEnd, TransferFault};
    use domain::{AssignmentId, JobId, SourceId};

    use super::*;
    use crate::state::Standing;
    use crate::testing::*;

    const TRACK: TrackKey = TrackKey { job: JobId(1), index: 0 };

    fn explained(history: impl IntoIterator<Item = Input>, last: Input) -> Vec<Explained> {
        let given = given(history);
        let at = given.at().plus_ms(1000);
        let explained = given.engine().explain(last.clone(), at);
        let step = given.engine().clone().step(last, at);
        let decided = explained.iter().map(|it| domain::Event::Decision(it.decision.clone()));
        assert!(decided.eq(step.events.into_iter().skip(1)), "an explanation is another story");
        explained
    }

    #[test]
    fn a_choice_is_explained_by_the_candidates_it_was_made_from() {
        let ended = Input::Observation(Observation::TransferEnded {
            track: TRACK,
            assignment: AssignmentId(1),
            end: TransferEnd::Failed(TransferFault::ConnectionCut),
        });
        let history = [
            session(),
            add_job(),
            fetched(1),
            with_speed("ada", 900_000, &[file(1, 600_000)]),
            with_speed("bob", 100_000, &[file(1, 600_000)]),
            with_speed("eve", 500_000, &[file(1, 600_000)]),
            with_speed("zoe", 500_000, &[file(1, 700_000)]),
            chunk(TRACK, 1, 0, 262_144),
        ];
        let explained = explained(history, ended);
        let assigned = explained.last().unwrap();
        assert_eq!(assigned.by, Maker::Rule("schedule"));
        let Grounds::Candidates(candidates) = &assigned.grounds else { panic!("{assigned:?}") };
        let Decision::RangeAssigned { source, choice, .. } = &assigned.decision else {
            panic!("{assigned:?}")
        };
        let ids: Vec<_> = candidates.iter().map(|candidate| candidate.id.0).collect();
        assert_eq!((ids[0], ids), (source.0, vec![2, 1, 0, 3]));
        let (first, second) = (candidates[0].verdict.unwrap(), candidates[1].verdict.unwrap());
        let Choice { cost_ms, next_cost_ms, .. } = choice;
        assert_eq!((first.0.cost_ms, Some(second.0.cost_ms)), (*cost_ms, *next_cost_ms));
        assert_eq!(first.1.known, Known::Told);
        assert!(matches!(candidates[2].verdict, Err(Unfit::Rests(_))), "{candidates:?}");
        assert_eq!(candidates[3].verdict, Err(Unfit::OtherSize));
    }

    #[test]
    fn a_source_that_is_out_of_use_is_said_to_be() {
        let denied = Input::Observation(Observation::TransferEnded {
            track: TRACK,
            assignment: AssignmentId(1),
            end: TransferEnd::Failed(TransferFault::Denied("no".into())),
        });
        let offers = [answered("ada", &[file(1, 600_000)]), answered("bob", &[file(1, 600_000)])];
        let history = [session(), add_job(), fetched(1)].into_iter().chain(offers);
        let explained = explained(history, denied);
        let Grounds::Candidates(candidates) = &explained.last().unwrap().grounds else {
            panic!("{explained:?}")
        };
        assert_eq!(candidates[1].id, SourceId(0));
        assert_eq!(candidates[1].verdict, Err(Unfit::Out(Standing::Failed)));
    }

    #[test]
    fn a_search_is_explained_by_its_budget_and_a_verdict_by_its_evidence() {
        let searched = explained([session(), add_job()], fetched(1));
        let Grounds::Budget(budget) = &searched[0].grounds else { panic!("{searched:?}") };
        assert_eq!((budget.sent, budget.most, budget.open), (0, 34, 0));

        let history = [
            session(),
            add_job(),
            fetched(1),
            answered("ada", &[file(1, 300)]),
            chunk(TRACK, 1, 0, 300),
            examined(TRACK, 0, 200_000),
        ];
        let judged = explained(history, identified(TRACK, 0, 900_000, &[7]));
        assert_eq!(judged[0].by, Maker::Reaction("verify"));
        let Grounds::Evidence(evidence) = &judged[0].grounds else { panic!("{judged:?}") };
        assert_eq!((evidence.expected_ms, evidence.actual_ms), (Some(200_000), Some(200_000)));
        let named = evidence.named[0];
        assert!(named.is_near && !named.is_wanted, "{named:?}");
        assert_eq!(evidence.givers.len(), 1);
    }
}
