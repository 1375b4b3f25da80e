//! The server's part in the distributed search network: who stands where, who may become whose
//! parent, and who breaks the rules. SOULSEEK.md 2.6.
//!
//! Searches go to the roots (message 93, in [`super::requests`]); roots pass them on.

use soulseek::wire::server::ParentCandidate;
use soulseek::wire::{ServerMessage, ServerRequest};

use super::online::{Online, State};

/// Least upload speed of somebody who has children, in KiB per second (message 83).
pub(super) const MIN_SPEED: u32 = 1;
/// Divides upload speed into a number of children (message 84).
pub(super) const SPEED_RATIO: u32 = 50;
/// Candidates in one message 102.
const CANDIDATES: usize = 10;

/// Where a client says it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Who.
    pub user: String,
    /// Whether it looks for a parent (message 71).
    pub without_parent: bool,
    /// Whether it takes children (message 100).
    pub accepts_children: bool,
    /// How far its root is (message 126).
    pub level: u32,
    /// Who its root is (message 127).
    pub root: String,
}

impl Branch {
    /// Where everybody stands who has just logged in.
    pub(super) fn new(user: &str) -> Branch {
        Branch {
            user: user.to_owned(),
            without_parent: true,
            accepts_children: false,
            level: 0,
            root: user.to_owned(),
        }
    }
}

/// Takes note of messages 71, 100, 126 and 127; says which rule one of them breaks.
pub(super) fn note(visitor: &mut Online, request: ServerRequest) -> Option<&'static str> {
    let speed = u64::from(visitor.stats.speed);
    let branch = &mut visitor.branch;
    match request {
        ServerRequest::HaveNoParent { without } => branch.without_parent = without,
        ServerRequest::BranchLevel { level } => branch.level = level,
        ServerRequest::BranchRoot { user } => {
            branch.root = user;
            if branch.level > 0 && branch.root == branch.user {
                return Some("is its own ancestor");
            }
        }
        ServerRequest::AcceptChildren { accept } => {
            branch.accepts_children = accept;
            if accept && speed < u64::from(MIN_SPEED) * 1_024 {
                return Some("takes children without the speed for it");
            }
        }
        _ => {}
    }
    None
}

/// Sends message 102 to everybody who looks for a parent and for whom there is one.
pub(super) fn offer_parents(state: &State) {
    for seeker in state.online.values().filter(|online| online.branch.without_parent) {
        let mut fit: Vec<&Online> =
            state.online.values().filter(|online| is_above(state, online, seeker)).collect();
        fit.sort_by_key(|online| (online.branch.level, online.visit));
        let candidates: Vec<_> = fit
            .into_iter()
            .take(CANDIDATES)
            .map(|online| ParentCandidate {
                user: online.branch.user.clone(),
                ip: online.ip,
                port: online.port,
            })
            .collect();
        if !candidates.is_empty() {
            seeker.send(ServerMessage::PossibleParents { candidates });
        }
    }
}

/// Whether one may become the parent of the other. A root may only go below a root that was here
/// before it, so that no two go below each other.
fn is_above(state: &State, candidate: &Online, seeker: &Online) -> bool {
    let root = state.online.get(&candidate.branch.root);
    candidate.branch.accepts_children && root.is_some_and(|root| root.visit < seeker.visit)
}
