//! Who there is, what each has, and how each behaves once it has turned. The last peer is honest and
//! stays so: with it, every job must complete.

use std::collections::BTreeMap;

use domain::{PeerId, Timestamp};

use super::catalogue::{Catalogue, Truth, VariantId};
use super::{World, network};
use crate::fault::Misfortune;
use crate::rng::Rng;
use domain::observation::TransferFault;

#[derive(Debug, Clone)]
pub(super) struct SimPeer {
    pub(super) id: PeerId,
    pub(super) bytes_per_s: u64,
    pub(super) queue_ms: u64,
    /// Variant offered for each track, if any.
    pub(super) files: BTreeMap<u16, VariantId>,
    pub(super) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Honest,
    /// The connection breaks after so many bytes, once.
    Dies(u64),
    /// Silence after so many bytes, every time.
    Stalls(u64),
    /// Every request is refused.
    Denies,
    /// Its queue does not move.
    Queues,
    /// Cannot be reached.
    Gone,
    /// Offers one size and has another.
    Resizes,
    /// Sends more than asked, or what was not asked.
    Babbles,
}

pub(super) fn all(rng: &mut Rng, catalogue: &Catalogue) -> Vec<SimPeer> {
    let mut peers = Vec::new();
    for number in 0..rng.within(2, 7) {
        let mut files = BTreeMap::new();
        for (id, variant) in (0u32..).zip(&catalogue.variants) {
            if rng.chance(60) {
                files.entry(variant.track).or_insert(id);
            }
        }
        peers.push(SimPeer {
            id: PeerId::Soulseek(format!("peer{number}")),
            bytes_per_s: if rng.chance(20) {
                rng.within(6_000, 20_000)
            } else {
                rng.within(20_000, 2_000_000)
            },
            queue_ms: if rng.chance(30) { rng.within(1000, 4_000_000) } else { 0 },
            files,
            fate: Fate::Honest,
        });
    }
    let right = (0u32..).zip(&catalogue.variants).filter(|(_, it)| it.truth == Truth::Right);
    let mut files = BTreeMap::new();
    for (id, variant) in right {
        files.entry(variant.track).or_insert(id);
    }
    peers.push(SimPeer {
        id: PeerId::Soulseek("honest".into()),
        bytes_per_s: rng.within(20_000, 200_000),
        queue_ms: rng.within(0, 60_000),
        files,
        fate: Fate::Honest,
    });
    peers
}

impl World {
    /// A peer becomes another; never the honest one.
    pub(super) fn turn(&mut self, what: Misfortune, at: Timestamp) {
        let (peer, fate) = match what {
            Misfortune::PeerDies { peer, after } => (peer, Fate::Dies(after)),
            Misfortune::PeerStalls { peer, after } => (peer, Fate::Stalls(after)),
            Misfortune::PeerLies { peer } => (peer, Fate::Babbles),
            Misfortune::PeerDenies { peer } => (peer, Fate::Denies),
            Misfortune::PeerChangesSize { peer } => (peer, Fate::Resizes),
            Misfortune::PeerQueues { peer } => (peer, Fate::Queues),
            Misfortune::PeerLeaves { peer } => (peer, Fate::Gone),
            Misfortune::PeerReturns { peer } => (peer, Fate::Honest),
            other => unreachable!("{other} is not of a peer"),
        };
        let number = usize::from(peer) % (self.peers.len() - 1);
        self.peers[number].fate = fate;
        match fate {
            Fate::Dies(_) | Fate::Gone => {
                for (track, assignment) in self.cut(|asked| asked == number) {
                    let end = network::ended(track, assignment, TransferFault::ConnectionCut);
                    self.plan(at.plus_ms(20), end);
                }
            }
            Fate::Stalls(_) => drop(self.cut(|asked| asked == number)),
            Fate::Honest | Fate::Denies | Fate::Resizes | Fate::Babbles | Fate::Queues => {}
        }
    }
}
