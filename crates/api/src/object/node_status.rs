//! The node itself.

use async_graphql::{Enum, SimpleObject};
use projections::jobs;
use replay::shadow::Board;

use super::shadow_replay::ShadowReplay;
use crate::scalar::{Micros, Seq, small};

/// The node.
#[derive(SimpleObject)]
pub(crate) struct NodeStatus {
    /// Position of the last event that is taken into account here.
    as_of: Seq,
    /// Position of the last durable event.
    position: Seq,
    /// Whether nothing is recorded, and so nothing goes on, until there is space on the disk of the
    /// event log. It goes on by itself.
    log_waits_for_space: bool,
    /// Whether it is logged in to the Soulseek server.
    session: Session,
    /// Why it is not.
    reason: Option<String>,
    /// What happens next, or what you can do.
    next_action: Option<String>,
    /// Since when it is so.
    since: Micros,
    /// When it was started.
    started_at: Micros,
    /// Version of its decision rules.
    engine: i32,
    /// Its build.
    build: String,
    /// How the replay beside it is doing.
    shadow: ShadowReplay,
}

/// Whether we are logged in.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// We are.
    Open,
    /// We are not.
    Closed,
}

impl NodeStatus {
    pub(crate) fn new(
        as_of: domain::Seq,
        log: &eventlog::Reader,
        shadow: &Board,
        view: jobs::NodeView,
    ) -> Self {
        let shadow = ShadowReplay::new(shadow.status(), log.durable());
        Self {
            as_of: as_of.into(),
            position: log.durable().into(),
            log_waits_for_space: log.waits_for_space(),
            session: if view.logged_in { Session::Open } else { Session::Closed },
            reason: view.reason,
            next_action: view.next_action,
            since: view.since.into(),
            started_at: view.started_at.into(),
            engine: small(view.engine),
            build: view.build,
            shadow,
        }
    }
}
