//! A place for a limited number, where the greediest makes room: whoever comes to a full one is let
//! in, and the oldest of whoever has the most there is put out. So a stranger who takes every place
//! loses their own, and everybody else is served on.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::session::lock;

/// Those who are in, the oldest first. `K` says who they belong to: an address or a user.
#[derive(Debug)]
pub(crate) struct Crowd<K> {
    most: usize,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    next: u64,
    members: Vec<(u64, K, oneshot::Sender<()>)>,
}

/// One who is in; leaves when dropped.
#[derive(Debug)]
pub(crate) struct Member<K: Eq + Hash> {
    crowd: Arc<Crowd<K>>,
    number: u64,
    put_out: oneshot::Receiver<()>,
}

impl<K: Eq + Hash> Crowd<K> {
    pub(crate) fn new(most: usize) -> Arc<Crowd<K>> {
        Arc::new(Crowd { most, state: Mutex::new(State { next: 0, members: Vec::new() }) })
    }

    pub(crate) fn enter(self: &Arc<Self>, key: K) -> Member<K> {
        let (stays, put_out) = oneshot::channel();
        let mut state = lock(&self.state);
        if state.members.len() >= self.most
            && let Some(number) =
                greediest(state.members.iter().map(|(number, key, _)| (key, *number)))
        {
            state.members.retain(|(known, ..)| *known != number);
        }
        let number = state.next;
        state.next += 1;
        state.members.push((number, key, stays));
        Member { crowd: Arc::clone(self), number, put_out }
    }
}

/// The oldest of whoever has the most, by rising number.
pub(crate) fn greediest<K: Eq + Hash>(members: impl Iterator<Item = (K, u64)>) -> Option<u64> {
    let mut counts: HashMap<K, (usize, u64)> = HashMap::new();
    for (key, number) in members {
        let (count, oldest) = counts.entry(key).or_insert((0, number));
        *count += 1;
        *oldest = number.min(*oldest);
    }
    let (_, number) =
        counts.into_values().max_by_key(|(count, oldest)| (*count, u64::MAX - oldest))?;
    Some(number)
}

impl<K: Eq + Hash> Member<K> {
    /// What the work comes to, or nothing once its place was needed.
    pub(crate) async fn within<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            _ = &mut self.put_out => None,
            done = work => Some(done),
        }
    }
}

impl<K: Eq + Hash> Drop for Member<K> {
    fn drop(&mut self) {
        lock(&self.crowd.state).members.retain(|(number, ..)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn the_oldest_of_the_greediest_makes_room() {
        let crowd = Crowd::new(4);
        let mut ada = crowd.enter("ada");
        let mut first = crowd.enter("mallory");
        let mut second = crowd.enter("mallory");
        let mut bo = crowd.enter("bo");
        let mut third = crowd.enter("mallory");
        assert_eq!(first.within(pending::<()>()).await, None);
        for member in [&mut ada, &mut bo, &mut second, &mut third] {
            assert_eq!(member.within(ready(())).await, Some(()));
        }
        drop(second);
        let mut cy = crowd.enter("cy");
        assert_eq!(ada.within(ready(())).await, Some(()), "there was room");
        // Nobody has more than another now, so the oldest goes.
        let _di = crowd.enter("di");
        assert_eq!(ada.within(ready(())).await, None);
        assert_eq!(cy.within(ready(())).await, Some(()));
    }
}
