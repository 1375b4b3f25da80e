//! Decides who is our parent, who our children are, and who gets which search. Touches no socket:
//! it is told what happened and when, and says what to do.
//!
//! ```text
//! 102 ─▶ dial ─▶ candidate ── level, root and a search ──▶ parent ─▶ searches ─▶ children, answers
//!                    └── nothing in time, a loop, another is first ──▶ closed
//! ```

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LinkId;
use super::allowance::Allowance;
use super::heard::{Heard, Search};
use super::neighbours::{Neighbour, Neighbours, Side};
use super::place::{BadPlace, Place};
use super::recent::Recent;
use crate::wire::{DistributedMessage, ServerRequest};

/// Candidates looked at together; a server names at most as many.
pub(super) const CANDIDATES: usize = 10;
/// Connections with one user while two that were dialled in both directions are sorted out.
const LINKS_PER_USER: usize = 2;
/// Patience for a candidate to say where it stands. It knows that at once.
pub(super) const PLACE_PATIENCE: Duration = Duration::from_secs(15);
/// Patience for a candidate's first search, which comes within a second in a busy network.
pub(super) const SEARCH_PATIENCE: Duration = Duration::from_secs(60);
/// How long the older of two connections with a child is kept.
pub(super) const TWIN_PATIENCE: Duration = Duration::from_secs(10);
/// Messages other than searches that somebody may send between two looks at the clock. A parent that
/// moves says two, and every one of them is passed on to the server and all children.
pub(super) const CHATTER: u32 = 30;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Connect to a candidate.
    Dial {
        user: String,
    },
    /// Close a connection. Nothing more is heard of it.
    Close(LinkId),
    TellServer(ServerRequest),
    /// Queue the same frame for each of these.
    Send {
        to: Vec<LinkId>,
        frame: Arc<[u8]>,
    },
    /// Answer a search from our shares.
    Answer {
        user: String,
        token: u32,
        query: String,
    },
}

/// Our place and everybody next to us.
#[derive(Debug)]
pub(super) struct Tree {
    own: String,
    allowance: Allowance,
    dialling: HashSet<String>,
    neighbours: Neighbours,
    parent: Option<LinkId>,
    /// The server sends searches: without a parent we are a root.
    fed_by_server: bool,
    /// What server and children were told last.
    announced: Place,
    accepts_announced: bool,
    recent: Recent,
}

impl Tree {
    pub(super) fn new(own: &str) -> Tree {
        Tree {
            own: own.to_owned(),
            allowance: Allowance::default(),
            dialling: HashSet::new(),
            neighbours: Neighbours::default(),
            parent: None,
            fed_by_server: false,
            announced: Place::root(own),
            accepts_announced: false,
            recent: Recent::default(),
        }
    }

    /// Message 83, in KiB per second.
    pub(super) fn min_speed(&mut self, kib_per_s: u32) -> Vec<Action> {
        self.allowance.min_speed = Some(kib_per_s);
        self.rule_changed()
    }

    /// Message 84.
    pub(super) fn speed_ratio(&mut self, ratio: u32) -> Vec<Action> {
        self.allowance.ratio = Some(ratio);
        self.rule_changed()
    }

    fn rule_changed(&mut self) -> Vec<Action> {
        let mut actions = self.accepts();
        if self.allowance.rule_is_known() {
            let user = self.own.clone();
            actions.push(Action::TellServer(ServerRequest::GetUserStats { user }));
        }
        actions
    }

    /// Our average upload speed as the server keeps it, in bytes per second.
    pub(super) fn own_speed(&mut self, bytes_per_s: u32) -> Vec<Action> {
        self.allowance.own_speed = Some(bytes_per_s);
        self.accepts()
    }

    /// Message 102.
    pub(super) fn possible_parents(
        &mut self,
        users: impl IntoIterator<Item = String>,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.parent.is_some() {
            return actions;
        }
        for user in users.into_iter().take(CANDIDATES) {
            let busy = self.dialling.len() + self.neighbours.candidates();
            // Whoever is below us is not dialled: we would go round in a circle.
            if busy < CANDIDATES
                && user != self.own
                && self.neighbours.links_with(&user) == 0
                && self.dialling.insert(user.clone())
            {
                actions.push(Action::Dial { user });
            }
        }
        actions
    }

    pub(super) fn candidate_unreachable(&mut self, user: &str) -> Vec<Action> {
        self.dialling.remove(user);
        Vec::new()
    }

    pub(super) fn candidate_connected(
        &mut self,
        link: LinkId,
        user: &str,
        now: Instant,
    ) -> Vec<Action> {
        self.dialling.remove(user);
        let side = Side::above();
        let unwanted = self.parent.is_some()
            || user == self.own
            || self.neighbours.is_child(user)
            || self.neighbours.links_with(user) >= LINKS_PER_USER
            || self.neighbours.candidates() >= CANDIDATES * LINKS_PER_USER;
        if unwanted {
            return vec![Action::Close(link)];
        }
        self.neighbours.insert(link, Neighbour::new(user, side, now));
        Vec::new()
    }

    pub(super) fn child_connected(
        &mut self,
        link: LinkId,
        user: &str,
        now: Instant,
    ) -> Vec<Action> {
        let known = self.neighbours.is_child(user);
        let with = self.neighbours.links_with(user);
        let fed = self.parent.is_some() || self.fed_by_server;
        let room = if known { with < LINKS_PER_USER } else { self.has_room() };
        // Candidates and the parent have links, too, and cannot be below us at the same time.
        if !fed || !room || user == self.own || (!known && with > 0) {
            return vec![Action::Close(link)];
        }
        self.neighbours.insert(link, Neighbour::new(user, Side::Child, now));
        let mut actions: Vec<_> =
            frames(&self.announced).map(|frame| Action::Send { to: vec![link], frame }).into();
        actions.extend(self.accepts());
        actions
    }

    pub(super) fn heard(&mut self, link: LinkId, heard: Heard, now: Instant) -> Vec<Action> {
        let Some(neighbour) = self.neighbours.get_mut(link) else { return Vec::new() };
        if !matches!(heard, Heard::Search(_)) {
            neighbour.chatter += 1;
            if neighbour.chatter > CHATTER {
                tracing::debug!(user = neighbour.user, "talks too much");
                return self.close(link);
            }
        }
        match (heard, &neighbour.side) {
            (Heard::Other, _) | (Heard::Level(_) | Heard::Root(_), Side::Child) => Vec::new(),
            (Heard::Search(_), Side::Child) => {
                tracing::debug!(user = neighbour.user, "a search from below");
                self.close(link)
            }
            (heard, Side::Above { .. }) => self.heard_from_above(link, heard, now),
        }
    }

    fn heard_from_above(&mut self, link: LinkId, heard: Heard, now: Instant) -> Vec<Action> {
        let Some(Neighbour { user, side: Side::Above { told, searched }, .. }) =
            self.neighbours.get_mut(link)
        else {
            return Vec::new();
        };
        let mut actions = Vec::new();
        let believed = match heard {
            Heard::Level(level) => told.level(user, level),
            Heard::Root(root) => told.root(&self.own, root),
            Heard::Search(search) => {
                *searched = true;
                actions = self.pass_on(search, now);
                Ok::<(), BadPlace>(())
            }
            Heard::Other => Ok(()),
        };
        if let Err(reason) = believed {
            tracing::debug!(link, %reason, "no parent for us");
            return self.close(link);
        }
        if self.parent.is_none() {
            let mut adopted = self.adopt_when_ready(link);
            // First the children hear where they are now.
            adopted.append(&mut actions);
            return adopted;
        }
        actions.extend(self.announce());
        actions
    }

    fn adopt_when_ready(&mut self, link: LinkId) -> Vec<Action> {
        let ready = self.neighbours.get(link).is_some_and(|neighbour| match &neighbour.side {
            Side::Above { told, searched } => *searched && told.place().is_some(),
            Side::Child => false,
        });
        if !ready {
            return Vec::new();
        }
        self.parent = Some(link);
        self.fed_by_server = false;
        // The other connection with this user, too, and not before: real clients say their place on
        // both, then keep one, and only its searches tell which.
        let mut actions = self.close_all(|id, neighbour| id != link && neighbour.is_above());
        actions.push(Action::TellServer(ServerRequest::HaveNoParent { without: false }));
        actions.extend(self.announce());
        actions.extend(self.accepts());
        actions
    }

    /// Message 93 holds a search: the server takes us for a root.
    pub(super) fn embedded(&mut self, search: Search, now: Instant) -> Vec<Action> {
        // One that was under way when a parent was found changes nothing.
        self.fed_by_server |= self.parent.is_none();
        let mut actions = self.accepts();
        actions.extend(self.pass_on(search, now));
        actions
    }

    fn pass_on(&mut self, search: Search, now: Instant) -> Vec<Action> {
        let Search { user, token, query, frame } = search;
        if !self.recent.is_new(&user, token, now) {
            return Vec::new();
        }
        let mut actions = Vec::new();
        let to = self.neighbours.children();
        if !to.is_empty() {
            actions.push(Action::Send { to, frame });
        }
        actions.push(Action::Answer { user, token, query });
        actions
    }

    /// The connection ended by itself, or could not be written to.
    pub(super) fn closed(&mut self, link: LinkId) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.neighbours.remove(link).is_none() {
            return actions;
        }
        if self.parent == Some(link) {
            self.parent = None;
            actions.push(Action::TellServer(ServerRequest::HaveNoParent { without: true }));
            actions.extend(self.announce());
        }
        actions.extend(self.accepts());
        actions
    }

    /// Message 130.
    pub(super) fn reset(&mut self) -> Vec<Action> {
        self.parent = None;
        self.fed_by_server = false;
        let mut actions = self.close_all(|_, _| true);
        actions.push(Action::TellServer(ServerRequest::HaveNoParent { without: true }));
        // Said anew even where nothing changed: the server starts over.
        self.announced = Place::root(&self.own);
        actions.extend(self.tell_place());
        actions.extend(self.accepts());
        actions
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Action> {
        for neighbour in self.neighbours.values_mut() {
            neighbour.chatter = 0;
        }
        let (parent, newest) = (self.parent, self.neighbours.children());
        self.close_all(|id, neighbour| {
            let patience = match &neighbour.side {
                _ if parent == Some(id) => return false,
                Side::Above { told, .. } if told.place().is_some() => SEARCH_PATIENCE,
                Side::Above { .. } => PLACE_PATIENCE,
                Side::Child if newest.contains(&id) => return false,
                Side::Child => TWIN_PATIENCE,
            };
            now.saturating_duration_since(neighbour.since) >= patience
        })
    }

    fn close(&mut self, link: LinkId) -> Vec<Action> {
        let mut actions = vec![Action::Close(link)];
        actions.extend(self.closed(link));
        actions
    }

    fn close_all(&mut self, which: impl Fn(LinkId, &Neighbour) -> bool) -> Vec<Action> {
        self.neighbours.remove_all(which).into_iter().map(Action::Close).collect()
    }

    /// Tells server and children our place if it is another than before.
    fn announce(&mut self) -> Vec<Action> {
        let place = self.place();
        if place == self.announced {
            return Vec::new();
        }
        self.announced = place;
        self.tell_place()
    }

    fn tell_place(&self) -> Vec<Action> {
        let Place { level, root } = self.announced.clone();
        let mut actions = vec![
            Action::TellServer(ServerRequest::BranchLevel { level }),
            Action::TellServer(ServerRequest::BranchRoot { user: root }),
        ];
        // The older connection with a child, too: it may be the one that stays.
        let to = self.neighbours.below();
        if !to.is_empty() {
            actions.extend(
                frames(&self.announced).map(|frame| Action::Send { to: to.clone(), frame }),
            );
        }
        actions
    }

    fn place(&self) -> Place {
        let above = self.parent.and_then(|parent| match &self.neighbours.get(parent)?.side {
            Side::Above { told, .. } => told.place(),
            Side::Child => None,
        });
        above.map_or_else(|| Place::root(&self.own), |above| above.below())
    }

    /// Tells the server whether we take children (message 100), if that is another answer than before.
    fn accepts(&mut self) -> Vec<Action> {
        let accept = (self.parent.is_some() || self.fed_by_server) && self.has_room();
        if accept == self.accepts_announced {
            return Vec::new();
        }
        self.accepts_announced = accept;
        vec![Action::TellServer(ServerRequest::AcceptChildren { accept })]
    }

    fn has_room(&self) -> bool {
        self.neighbours.children().len() < self.allowance.children()
    }
}

/// Messages 4 and 5, in the order in which real clients say them.
fn frames(place: &Place) -> [Arc<[u8]>; 2] {
    let level = i32::try_from(place.level).unwrap_or(i32::MAX);
    [
        DistributedMessage::BranchLevel { level }.encode().into(),
        DistributedMessage::BranchRoot { user: place.root.clone() }.encode().into(),
    ]
}
