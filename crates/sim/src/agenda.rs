//! What is to happen in virtual time, by moment and by order of planning.

use std::collections::BTreeMap;

use domain::{Observation, Timestamp};

/// What is to happen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(Timestamp, u64), Observation>,
    planned: u64,
}

impl Agenda {
    pub(crate) fn plan(&mut self, at: Timestamp, seen: Observation) {
        self.planned += 1;
        self.entries.insert((at, self.planned), seen);
    }

    /// How many things were planned so far.
    pub(crate) fn planned(&self) -> u64 {
        self.planned
    }

    /// Takes the next thing, if it happens by `limit`; its number with it.
    pub(crate) fn next(
        &mut self,
        limit: Option<Timestamp>,
    ) -> Option<(Timestamp, u64, Observation)> {
        let ((at, _), _) = self.entries.first_key_value()?;
        if limit.is_some_and(|limit| *at > limit) {
            return None;
        }
        let ((at, number), seen) = self.entries.pop_first()?;
        Some((at, number, seen))
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Observation) -> bool) {
        self.entries.retain(|_, seen| keep(seen));
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
