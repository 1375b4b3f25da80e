//! Which user has which message connections open, and who makes room when there are too many. What goes
//! over them is in [`super`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::Link;
use crate::crowd::{Crowd, greediest};
use crate::session::lock;

/// Longer messages that may be on their way in at the same time.
const LONG_MESSAGES: usize = 64;
/// Message connections in all; beyond it, the oldest of whoever has the most is closed.
const LINKS: usize = 600;
/// Message connections of one user; two honest clients never need more than a few.
pub(super) const LINKS_PER_USER: usize = 8;

/// Every open message connection.
#[derive(Debug)]
pub(crate) struct Peers {
    /// Long messages of which a part is here, by address.
    pub(super) long_messages: Arc<Crowd<IpAddr>>,
    links: Mutex<HashMap<String, Vec<Link>>>,
    /// One dialler at a time per user.
    pub(super) gates: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) appeared: Notify,
    pub(super) next_link: AtomicU64,
}

impl Default for Peers {
    fn default() -> Peers {
        Peers {
            long_messages: Crowd::new(LONG_MESSAGES),
            links: Mutex::default(),
            gates: Mutex::default(),
            appeared: Notify::new(),
            next_link: AtomicU64::new(0),
        }
    }
}

impl Peers {
    /// Makes a connection known, and room for it where there is none: whoever has the most open loses
    /// their oldest, so that nobody can keep others out by opening many. Of one user's, too, because
    /// anybody may call themselves by that name.
    pub(super) fn admit(&self, user: &str, link: &Link) {
        let mut links = lock(&self.links);
        let open: usize = links.values().map(Vec::len).sum();
        let of_user = links.get(user).map_or(0, Vec::len);
        let number = |link: &Link| (link.address, link.number);
        let victim = if of_user >= LINKS_PER_USER {
            greediest(links.get(user).into_iter().flatten().map(number))
        } else if open >= LINKS {
            greediest(links.values().flatten().map(number))
        } else {
            None
        };
        if let Some(victim) = victim {
            links.retain(|_, of_user| {
                let out = of_user.extract_if(.., |link| link.number == victim);
                out.for_each(|link| link.put_out.close());
                !of_user.is_empty()
            });
        }
        links.entry(user.to_owned()).or_default().push(link.clone());
    }

    pub(crate) fn newest(&self, user: &str) -> Option<Link> {
        let links = lock(&self.links);
        let open =
            || links.get(user).into_iter().flatten().rev().filter(|it| !it.outbox.is_closed());
        open().find(|link| link.certain.load(Ordering::Relaxed)).or_else(|| open().next()).cloned()
    }

    pub(super) async fn appears(&self, user: &str) -> Link {
        loop {
            let appeared = self.appeared.notified();
            tokio::pin!(appeared);
            // Registered before looking, so that nothing appears in between.
            appeared.as_mut().enable();
            if let Some(link) = self.newest(user) {
                return link;
            }
            appeared.await;
        }
    }

    pub(super) fn remove(&self, user: &str, number: u64) {
        let mut links = lock(&self.links);
        if let Some(of_user) = links.get_mut(user) {
            of_user.retain(|link| link.number != number);
            if of_user.is_empty() {
                links.remove(user);
            }
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.links).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::link;
    use super::*;

    #[test]
    fn a_call_returned_too_late_does_not_swallow_messages() {
        let peers = Peers::default();
        let (direct, _kept) = link(1);
        let (returned, _open) = link(2);
        returned.certain.store(false, Ordering::Relaxed);
        let numbers = || peers.newest("ada").map(|link| link.number);
        lock(&peers.links).insert("ada".to_owned(), vec![returned.clone()]);
        assert_eq!(numbers(), Some(2), "better than none");
        lock(&peers.links).insert("ada".to_owned(), vec![direct, returned.clone()]);
        assert_eq!(numbers(), Some(1));
        returned.certain.store(true, Ordering::Relaxed);
        assert_eq!(numbers(), Some(2), "the other side spoke on it");
    }

    #[test]
    fn whoever_has_the_most_connections_makes_room_for_others() {
        let peers = Peers::default();
        let open = |user: &str, number| {
            let (mut link, outgoing) = link(number);
            link.address = IpAddr::from([10, 0, 0, user.as_bytes()[0]]);
            peers.admit(user, &link);
            (link, outgoing)
        };
        let (ada, _ada) = open("ada", 0);
        let taken: Vec<_> = (0..LINKS as u64 * 2)
            .map(|number| open(&format!("x{}", number / 7), number + 1))
            .collect();
        let (bo, _bo) = open("bo", 9_999);
        let count =
            |links: &HashMap<String, Vec<Link>>| links.values().map(Vec::len).sum::<usize>();
        let links = lock(&peers.links);
        assert_eq!(count(&links), LINKS);
        assert!(links.contains_key("ada") && links.contains_key("bo") && !links.contains_key("x0"));
        assert!(!ada.put_out.is_closed() && !bo.put_out.is_closed());
        assert_eq!(taken.iter().filter(|(link, _)| !link.put_out.is_closed()).count(), LINKS - 2);
    }

    #[test]
    fn nobody_is_kept_out_by_those_who_use_their_name() {
        let peers = Peers::default();
        let (mut theirs, _ada) = link(0);
        theirs.address = IpAddr::from([10, 0, 0, 1]);
        peers.admit("ada", &theirs);
        let false_ones: Vec<_> = (1..30).map(link).collect();
        for (link, _) in &false_ones {
            peers.admit("ada", link);
        }
        assert_eq!(lock(&peers.links)["ada"].len(), LINKS_PER_USER);
        assert!(!theirs.put_out.is_closed());
        assert_eq!(peers.newest("ada").unwrap().number, 29);
    }
}
