//! The simulated outside, in virtual time: it answers effects with observations. This file keeps the
//! agenda and lets misfortunes in; who answers what is in the modules below. It keeps its own account
//! of every staged byte, apart from the engine's, so that [`crate::check`] can compare the two.

pub(crate) mod catalogue;
mod disk;
pub(crate) mod network;
mod peers;
mod services;

use std::collections::{BTreeMap, BTreeSet};

use domain::observation::{Observation, SessionEnd};
use domain::{AssignmentId, Effect, ReleaseId, Timestamp};

use crate::agenda::Agenda;
use crate::fault::Misfortune;
use crate::rng::Rng;
use catalogue::Catalogue;
use disk::Disk;
use peers::SimPeer;

/// The simulated outside.
#[derive(Debug, Clone)]
pub struct World {
    seed: u64,
    catalogue: Catalogue,
    peers: Vec<SimPeer>,
    disk: Disk,
    /// What is to happen.
    agenda: Agenda,
    /// Who was asked by each assignment.
    asked: BTreeMap<AssignmentId, usize>,
    cancelled: BTreeSet<AssignmentId>,
    /// Whether we are logged in; the transfers under way end with the session.
    session: bool,
    /// Misfortunes that wait for their occasion.
    pending: Vec<Misfortune>,
}

impl World {
    /// The world of a seed, in which nothing has gone wrong yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "world");
        let catalogue = Catalogue::new(&mut rng);
        let peers = peers::all(&mut rng, &catalogue);
        Self {
            seed,
            catalogue,
            peers,
            disk: Disk::default(),
            agenda: Agenda::default(),
            asked: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            session: false,
            pending: Vec::new(),
        }
    }

    /// The release that the album job is for.
    #[must_use]
    pub fn release(&self) -> ReleaseId {
        self.catalogue.target.release
    }

    /// The next thing that happens, if it happens before `limit`.
    pub fn next(&mut self, limit: Option<Timestamp>) -> Option<(Timestamp, Observation)> {
        loop {
            let (at, number, seen) = self.agenda.next(limit)?;
            if let Some(seen) = self.happen(at, number, seen) {
                return Some((at, seen));
            }
        }
    }

    /// The process dies: whatever was under way is gone; the disk stays.
    pub fn crash(&mut self) {
        self.agenda.clear();
        self.cancelled.clear();
        self.session = false;
    }

    /// Something goes wrong, now or on the next occasion.
    pub fn suffer(&mut self, what: Misfortune, at: Timestamp) {
        match what {
            Misfortune::PeerDies { .. }
            | Misfortune::PeerStalls { .. }
            | Misfortune::PeerLies { .. }
            | Misfortune::PeerDenies { .. }
            | Misfortune::PeerChangesSize { .. }
            | Misfortune::PeerQueues { .. }
            | Misfortune::PeerLeaves { .. }
            | Misfortune::PeerReturns { .. } => self.turn(what, at),
            Misfortune::SessionLost { for_ms } => self.lose_session(at, for_ms),
            Misfortune::ServiceBusy { .. }
            | Misfortune::ServiceUnreachable
            | Misfortune::ReleaseMissing
            | Misfortune::KeyRefused
            | Misfortune::DiskFull
            | Misfortune::StagingLost
            | Misfortune::AnswerTwice { .. }
            | Misfortune::AnswerLate { .. }
            | Misfortune::AnswerLost => self.pending.push(what),
            Misfortune::Crash(_)
            | Misfortune::ClockBack { .. }
            | Misfortune::ClockForward { .. }
            | Misfortune::PersonRetries
            | Misfortune::PersonChangesMind => {
                unreachable!("that is of the life, not of its world")
            }
        }
    }

    /// Whether the library has the right recording at a path.
    #[must_use]
    pub fn is_right(&self, path: &str) -> bool {
        self.disk.holds(path).is_some_and(|(id, track)| self.catalogue.is_right(id, track))
    }

    /// Staged files that nobody has deleted.
    #[must_use]
    pub fn staged(&self) -> usize {
        self.disk.staged()
    }

    /// News that nobody asked for: the session with the server.
    pub fn log_in(&mut self, at: Timestamp) {
        self.plan(at.plus_ms(50), Observation::SessionOpened);
    }

    /// Starts what an effect asks for.
    pub fn perform(&mut self, effect: Effect, at: Timestamp) {
        match effect {
            Effect::FetchRelease { .. } | Effect::Identify { .. } => self.look_up(effect, at),
            Effect::Search { job, search, query, open_ms } => {
                self.search(at, job, search, &query, open_ms);
            }
            Effect::FetchRange {
                track,
                attempt,
                assignment,
                peer,
                path: _,
                size,
                range,
                overlap,
                content: _,
            } => {
                let wanted = network::Wanted { track, attempt, assignment, size, range, overlap };
                self.fetch(at, &wanted, &peer);
            }
            Effect::CancelTransfer { assignment } => {
                self.cancelled.insert(assignment);
            }
            Effect::Examine { .. } | Effect::Publish { .. } | Effect::Discard { .. } => {
                self.write(effect, at);
            }
            // Nobody here describes the content of a file.
            Effect::Share { .. }
            | Effect::BeginAt { .. }
            | Effect::MoveEnd { .. }
            | Effect::SendChat { .. }
            | Effect::AcknowledgeChat { .. } => {}
        }
    }

    fn plan(&mut self, at: Timestamp, seen: Observation) {
        self.agenda.plan(at, seen);
    }

    /// Takes the first waiting misfortune of a kind.
    fn take(&mut self, fits: impl Fn(&Misfortune) -> bool) -> Option<Misfortune> {
        let found = self.pending.iter().position(fits)?;
        Some(self.pending.remove(found))
    }

    /// News on its way in: of a cancelled transfer it is mostly, not always, held back, and some comes
    /// twice, late or never.
    fn happen(&mut self, at: Timestamp, number: u64, seen: Observation) -> Option<Observation> {
        match seen {
            Observation::SessionOpened => {
                self.session = true;
                return Some(seen);
            }
            // Told in their order.
            Observation::SessionClosed { .. } => return Some(seen),
            _ => {}
        }
        if let Some(assignment) = network::assignment_of(&seen)
            && self.cancelled.contains(&assignment)
            && !Rng::numbered(self.seed, "stray", number).chance(10)
        {
            return None;
        }
        if network::may_be_lost(&seen) && self.take(|it| *it == Misfortune::AnswerLost).is_some() {
            return None;
        }
        let late = self.take(|what| matches!(what, Misfortune::AnswerLate { .. }));
        if let Some(Misfortune::AnswerLate { by_ms }) = late {
            self.plan(at.plus_ms(by_ms), seen);
            return None;
        }
        // Of a transfer it is for a liar to say things twice.
        if network::assignment_of(&seen).is_none()
            && let Some(Misfortune::AnswerTwice { after_ms }) =
                self.take(|what| matches!(what, Misfortune::AnswerTwice { .. }))
        {
            self.plan(at.plus_ms(after_ms), seen.clone());
        }
        Some(seen)
    }

    /// The connection to the server is lost: every transfer ends, before or after that is told, and
    /// some time later we are logged in again.
    fn lose_session(&mut self, at: Timestamp, for_ms: u64) {
        if !self.session {
            return;
        }
        self.session = false;
        for (track, assignment) in self.cut(|_| true) {
            let wait = Rng::numbered(self.seed, "session", assignment.0).within(1, 60);
            let end = network::ended(track, assignment, network::CLOSED);
            self.plan(at.plus_ms(wait), end);
        }
        let reason = SessionEnd::Lost("reset".into());
        self.plan(at.plus_ms(30), Observation::SessionClosed { reason });
        self.plan(at.plus_ms(for_ms.max(60)), Observation::SessionOpened);
    }
}
