//! The same for some peers only: who is forgotten has another name everywhere, what they offered and what
//! they said is told in other words, and all others stay who they are. The name is drawn by whoever asks
//! and kept nowhere.

use std::collections::BTreeSet;

use domain::{
    AssignmentId, Command, Decision, Event, Input, Observation, PeerId, SourceId, TrackKey,
};

use super::names::Names;

#[derive(Debug, Clone)]
pub(super) struct Forgotten {
    peers: BTreeSet<PeerId>,
    names: Names,
    /// What they were asked for, by which their words are known.
    assignments: BTreeSet<AssignmentId>,
    sources: BTreeSet<(TrackKey, SourceId)>,
}

impl Forgotten {
    /// Nobody was heard yet. Names begin with `drawn`, which nobody else's name may.
    pub(super) fn new(peers: BTreeSet<PeerId>, drawn: &str) -> Self {
        let (assignments, sources) = Default::default();
        Self { peers, names: Names::new(format!("forgotten-{drawn}-")), assignments, sources }
    }

    /// Takes note of what an event tells of them.
    pub(super) fn hear(&mut self, event: Event) {
        match &event {
            Event::Decision(Decision::SourceFound { track, source, peer, .. })
                if self.peers.contains(peer) =>
            {
                self.sources.insert((*track, *source));
            }
            Event::Decision(Decision::RangeAssigned { assignment, peer, .. })
                if self.peers.contains(peer) =>
            {
                self.assignments.insert(*assignment);
            }
            _ => {}
        }
        // Words of releases are what is kept of a path.
        let is_release =
            matches!(event, Event::Input(Input::Observation(Observation::ReleaseFetched { .. })));
        if is_release || self.is_told(&event) {
            self.names.hear(event);
        }
    }

    /// Everything was heard.
    pub(super) fn close(&mut self) {
        self.names.close();
    }

    /// The event without them.
    pub(super) fn replace(&mut self, event: Event) -> Event {
        if self.is_told(&event) { self.names.replace(event) } else { event }
    }

    /// Whether an event tells of them.
    fn is_told(&self, event: &Event) -> bool {
        match event {
            Event::Input(Input::Observation(seen)) => match seen {
                Observation::SearchAnswered { peer, .. }
                | Observation::UploadEnded { peer, .. }
                | Observation::ChatReceived { peer, .. }
                | Observation::HoldingTold { peer, .. } => self.peers.contains(peer),
                Observation::TransferEnded { assignment, .. } => {
                    self.assignments.contains(assignment)
                }
                _ => false,
            },
            Event::Input(Input::Command(command)) => match command {
                Command::SendChat { peer, .. } | Command::MarkChatRead { peer, .. } => {
                    self.peers.contains(peer)
                }
                Command::AddJob { .. }
                | Command::CancelJob { .. }
                | Command::RetryJob { .. }
                | Command::SkipDeadLetter { .. } => false,
            },
            Event::Decision(decision) => match decision {
                Decision::SourceFound { peer, .. }
                | Decision::RangeAssigned { peer, .. }
                | Decision::ChatPlanned { peer, .. }
                | Decision::PeerRested { peer, .. } => self.peers.contains(peer),
                Decision::SourceDropped { track, source, .. } => {
                    self.sources.contains(&(*track, *source))
                }
                _ => false,
            },
        }
    }
}
