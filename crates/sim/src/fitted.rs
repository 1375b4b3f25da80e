//! A world fitted to a recorded history: it answers effects as the peers, services and disk of the history
//! did, or as they well might have. What was recorded of a thing is said of it again; where several samples
//! are known one is drawn, so that a seed and a history give one world. How the samples are taken is in
//! [`model`]. What it does not know: how peers share our line, and what a peer that was never asked is
//! like, for which it takes others.

mod disk;
mod model;
mod network;
mod services;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::observation::TransferFault;
use domain::{AssignmentId, Effect, Envelope, Observation, PeerId, Timestamp, TrackKey};

use crate::agenda::Agenda;
use crate::rng::Rng;
use crate::world::network::{ended, transfer_of};
use model::{FileId, Model};

/// The world of a history, from which any number of runs begin.
#[derive(Debug, Clone)]
pub(crate) struct Fitted {
    model: Arc<Model>,
    seed: u64,
    agenda: Agenda,
    /// Who was asked by each open assignment.
    asked: BTreeMap<AssignmentId, PeerId>,
    cancelled: BTreeSet<AssignmentId>,
    /// Whose bytes are in staging.
    staged: BTreeMap<(TrackKey, u16), Vec<FileId>>,
    session: bool,
    /// Who is not there any more.
    gone: Option<PeerId>,
}

impl Fitted {
    /// What a history tells of the outside, as things stand after so many events.
    pub(crate) fn of(log: &[Envelope], taken: usize) -> Self {
        Self {
            model: Arc::new(Model::fit(log)),
            // Files are numbered in the order of their offers, so a part has the same numbers.
            staged: Model::fit(&log[..taken]).givers,
            seed: 0,
            agenda: Agenda::default(),
            asked: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            session: false,
            gone: None,
        }
    }

    /// The world as it is where a run begins.
    pub(crate) fn begin(
        &self,
        seed: u64,
        session: bool,
        asked: BTreeMap<AssignmentId, PeerId>,
        gone: Option<PeerId>,
    ) -> Self {
        Self { seed, session, asked, gone, ..self.clone() }
    }

    /// Whether the history knows a peer.
    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        self.model.peers.contains_key(peer)
    }

    /// Everybody it knows.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.model.peers.keys()
    }

    /// Bytes of an attempt will go on to come from a file, as they were recorded.
    pub(crate) fn gives(&mut self, track: TrackKey, attempt: u16, peer: &PeerId, path: &str) {
        let file = self.model.by_path.get(&(peer.clone(), path.to_owned()));
        let givers = self.staged.entry((track, attempt)).or_default();
        givers.extend(file.filter(|file| !givers.contains(file)).copied().as_slice());
    }

    /// Something that happens as it was recorded.
    pub(crate) fn expect(&mut self, at: Timestamp, seen: Observation) {
        self.agenda.plan(at, seen);
    }

    /// The next thing that happens, if it happens by `limit`.
    pub(crate) fn next(&mut self, limit: Option<Timestamp>) -> Option<(Timestamp, Observation)> {
        loop {
            let (at, _, seen) = self.agenda.next(limit)?;
            if let Some((_, assignment)) = transfer_of(&seen) {
                if self.cancelled.contains(&assignment) {
                    continue;
                }
                if let Observation::TransferEnded { .. } = seen {
                    self.asked.remove(&assignment);
                }
            }
            return Some((at, seen));
        }
    }

    /// The process ended: whatever was under way is gone.
    pub(crate) fn crash(&mut self) {
        self.agenda.clear();
        self.cancelled.clear();
        self.asked.clear();
        self.session = false;
    }

    /// The session is there or is lost, and with it the transfers.
    pub(crate) fn session(&mut self, is_open: bool, at: Timestamp) {
        self.session = is_open;
        if is_open {
            return;
        }
        let mut under_way = BTreeSet::new();
        self.agenda.retain(|seen| match transfer_of(seen) {
            Some(transfer) => {
                under_way.insert(transfer);
                false
            }
            None => true,
        });
        for (track, assignment) in under_way {
            self.agenda.plan(at, ended(track, assignment, TransferFault::SessionClosed));
        }
    }

    /// Starts what an effect asks for.
    pub(crate) fn perform(&mut self, effect: Effect, at: Timestamp) {
        match effect {
            Effect::FetchRelease { job, release } => self.fetch_release(at, job, release),
            Effect::Identify { track, attempt, .. } => self.identify(at, track, attempt),
            Effect::Search { job, search, query, open_ms } => {
                self.search(at, job, search, &query, open_ms);
            }
            Effect::FetchRange { .. } => self.fetch(at, effect),
            Effect::CancelTransfer { assignment } => {
                self.asked.remove(&assignment);
                self.cancelled.insert(assignment);
            }
            Effect::Examine { track, attempt, size } => self.examine(at, track, attempt, size),
            Effect::Publish { track, attempt, digest, path, .. } => {
                self.publish(at, (track, attempt), digest, path);
            }
            Effect::Discard { track, attempt } => self.discard(at, track, attempt),
            // Nobody whose bytes are known beforehand is fitted.
            Effect::Share { .. }
            | Effect::BeginAt { .. }
            | Effect::MoveEnd { .. }
            | Effect::SendChat { .. }
            | Effect::AcknowledgeChat { .. } => {}
        }
    }

    /// Numbers for one of many things.
    fn rng(&self, purpose: &str, number: u64) -> Rng {
        Rng::numbered(self.seed, purpose, number)
    }
}

/// One of some samples; nothing of none.
fn drawn<'a, T>(rng: &mut Rng, samples: &'a [T]) -> Option<&'a T> {
    let number = rng.within(0, samples.len() as u64);
    samples.get(usize::try_from(number).ok()?)
}

/// A number that stands for a track's attempt.
fn number_of(track: TrackKey, attempt: u16) -> u64 {
    u64::from(track.job.0) << 32 | u64::from(track.index) << 16 | u64::from(attempt)
}
