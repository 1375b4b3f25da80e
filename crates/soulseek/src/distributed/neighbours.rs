//! Everybody we have a distributed connection with, above and below. What follows from that is
//! decided by [`super::tree`].

use std::collections::HashMap;
use std::time::Instant;

use super::LinkId;
use super::place::Told;

/// By connection: a user may have two for a while.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    links: HashMap<LinkId, Neighbour>,
}

/// Whoever is at the other end.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) user: String,
    pub(super) side: Side,
    pub(super) since: Instant,
    /// Messages other than searches since the last look at the clock.
    pub(super) chatter: u32,
}

#[derive(Debug)]
pub(super) enum Side {
    /// A candidate, or the parent.
    Above {
        told: Told,
        searched: bool,
    },
    Child,
}

impl Side {
    /// A candidate that has said nothing yet.
    pub(super) fn above() -> Side {
        Side::Above { told: Told::default(), searched: false }
    }
}

impl Neighbour {
    pub(super) fn new(user: &str, side: Side, since: Instant) -> Neighbour {
        Neighbour { user: user.to_owned(), side, since, chatter: 0 }
    }

    pub(super) fn is_above(&self) -> bool {
        matches!(self.side, Side::Above { .. })
    }
}

impl Neighbours {
    pub(super) fn insert(&mut self, link: LinkId, neighbour: Neighbour) {
        self.links.insert(link, neighbour);
    }

    pub(super) fn remove(&mut self, link: LinkId) -> Option<Neighbour> {
        self.links.remove(&link)
    }

    /// Removes all of a kind; their connections, oldest first.
    pub(super) fn remove_all(&mut self, which: impl Fn(LinkId, &Neighbour) -> bool) -> Vec<LinkId> {
        let removed = self.links.extract_if(|&id, neighbour| which(id, neighbour));
        let mut removed: Vec<_> = removed.map(|(id, _)| id).collect();
        removed.sort_unstable();
        removed
    }

    pub(super) fn get(&self, link: LinkId) -> Option<&Neighbour> {
        self.links.get(&link)
    }

    pub(super) fn get_mut(&mut self, link: LinkId) -> Option<&mut Neighbour> {
        self.links.get_mut(&link)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Neighbour> {
        self.links.values_mut()
    }

    /// Every connection with a child, oldest first.
    pub(super) fn below(&self) -> Vec<LinkId> {
        let below = self.links.iter().filter(|(_, neighbour)| !neighbour.is_above());
        let mut below: Vec<_> = below.map(|(&id, _)| id).collect();
        below.sort_unstable();
        below
    }

    /// The connection that each child gets its searches on, which is the newest with it.
    pub(super) fn children(&self) -> Vec<LinkId> {
        let mut newest = HashMap::new();
        for id in self.below() {
            newest.insert(self.links[&id].user.as_str(), id);
        }
        let mut links: Vec<_> = newest.into_values().collect();
        links.sort_unstable();
        links
    }

    pub(super) fn is_child(&self, user: &str) -> bool {
        self.links.values().any(|neighbour| neighbour.user == user && !neighbour.is_above())
    }

    pub(super) fn links_with(&self, user: &str) -> usize {
        self.links.values().filter(|neighbour| neighbour.user == user).count()
    }

    /// How many connections there are with candidates and the parent.
    pub(super) fn candidates(&self) -> usize {
        self.links.values().filter(|neighbour| neighbour.is_above()).count()
    }
}
