//! The Soulseek network: answers to searches, and the bytes of transfers.

use domain::chunk::{ByteRange, CHUNK_BYTES, cell_end};
use domain::observation::{Observation, RemoteFile, TransferEnd, TransferFault};
use domain::{AssignmentId, JobId, PeerId, SearchId, Timestamp, TrackKey};

use super::World;
use super::catalogue::{VariantId, content};
use super::peers::{Fate, SimPeer};
use crate::rng::Rng;

/// How a transfer ends when the session does.
pub(super) const CLOSED: TransferFault = TransferFault::SessionClosed;

/// What a transfer is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) track: TrackKey,
    pub(super) attempt: u16,
    pub(super) assignment: AssignmentId,
    pub(super) size: u64,
    pub(super) range: ByteRange,
    pub(super) overlap: u64,
}

/// The transfer that news is of.
pub(super) fn assignment_of(seen: &Observation) -> Option<AssignmentId> {
    transfer_of(seen).map(|(_, assignment)| assignment)
}

pub(crate) fn transfer_of(seen: &Observation) -> Option<(TrackKey, AssignmentId)> {
    match seen {
        Observation::PlaceTold { track, assignment, .. }
        | Observation::TransferStarted { track, assignment }
        | Observation::OverlapCompared { track, assignment, .. }
        | Observation::ChunkArrived { track, assignment, .. }
        | Observation::TransferEnded { track, assignment, .. } => Some((*track, *assignment)),
        _ => None,
    }
}

/// Whether news may get lost. That a transfer began or ended the node tells itself, whatever its peer
/// does, and so it tells of a search's end.
pub(super) fn may_be_lost(seen: &Observation) -> bool {
    match seen {
        Observation::SearchAnswered { .. } => true,
        Observation::TransferStarted { .. } | Observation::TransferEnded { .. } => false,
        other => transfer_of(other).is_some(),
    }
}

/// The end of a transfer that failed.
pub(crate) fn ended(
    track: TrackKey,
    assignment: AssignmentId,
    fault: TransferFault,
) -> Observation {
    Observation::TransferEnded { track, assignment, end: TransferEnd::Failed(fault) }
}

impl World {
    /// Nothing more comes of the transfers under way with some peers; those are returned.
    pub(super) fn cut(&mut self, with: impl Fn(usize) -> bool) -> Vec<(TrackKey, AssignmentId)> {
        let mut under_way = Vec::new();
        let asked = &self.asked;
        self.agenda.retain(|seen| {
            let Some((track, assignment)) = transfer_of(seen) else { return true };
            let is_with = asked.get(&assignment).is_some_and(|peer| with(*peer));
            if is_with && !under_way.contains(&(track, assignment)) {
                under_way.push((track, assignment));
            }
            !is_with
        });
        under_way
    }

    pub(super) fn search(
        &mut self,
        at: Timestamp,
        job: JobId,
        search: SearchId,
        query: &str,
        open_ms: u64,
    ) {
        let mut rng = Rng::numbered(self.seed, "search", search.0);
        let mut answers = Vec::new();
        for peer in &self.peers {
            // A search does not reach everybody.
            let (is_reached, wait) = (!rng.chance(10), rng.within(20, open_ms.max(21)));
            let files = self.offered(peer, query);
            if !is_reached || files.is_empty() || peer.fate == Fate::Gone {
                continue;
            }
            let seen = Observation::SearchAnswered {
                job,
                search,
                peer: peer.id.clone(),
                slot_free: peer.queue_ms == 0,
                speed_bytes_per_s: peer.bytes_per_s as u32,
                queue_length: (peer.queue_ms / 30_000) as u32,
                files,
            };
            answers.push((at.plus_ms(wait), seen));
        }
        for (at, seen) in answers {
            self.plan(at, seen);
        }
        self.plan(at.plus_ms(open_ms), Observation::SearchEnded { job, search });
    }

    fn offered(&self, peer: &SimPeer, query: &str) -> Vec<RemoteFile> {
        let fits = |track: u16| {
            query.contains("album") || query.contains(&self.catalogue.title(track).to_lowercase())
        };
        let offered = |(track, variant): (&u16, &VariantId)| RemoteFile {
            path: format!(
                r"Music\Sim Artist - Sim Album\{:02} - {}.flac",
                track + 1,
                self.catalogue.title(*track)
            ),
            size: match peer.fate {
                Fate::Resizes => self.catalogue.size(*variant) + 7,
                _ => self.catalogue.size(*variant),
            },
            bitrate_kbps: None,
            duration_s: None,
        };
        peer.files.iter().filter(|(track, _)| fits(**track)).map(offered).collect()
    }

    pub(super) fn fetch(&mut self, at: Timestamp, wanted: &Wanted, peer: &PeerId) {
        let Wanted { track, attempt, assignment, size, range, overlap } = *wanted;
        if !self.session {
            return self.plan(at.plus_ms(40), ended(track, assignment, CLOSED));
        }
        let asked = self
            .peers
            .iter()
            .position(|known| known.id == *peer)
            .and_then(|number| Some((number, *self.peers[number].files.get(&track.index)?)));
        let Some((number, variant)) = asked else {
            let end = ended(track, assignment, TransferFault::PeerOffline);
            return self.plan(at.plus_ms(10), end);
        };
        self.asked.insert(assignment, number);
        let SimPeer { fate, queue_ms, .. } = self.peers[number];
        let mut now =
            at.plus_ms(Rng::numbered(self.seed, "connection", assignment.0).within(5, 200));
        match fate {
            Fate::Denies => {
                let fault = TransferFault::Denied("File not shared.".into());
                return self.plan(now, ended(track, assignment, fault));
            }
            Fate::Queues => {
                let place = 40;
                return self.plan(now, Observation::PlaceTold { track, assignment, place });
            }
            Fate::Gone => {
                let end = ended(track, assignment, TransferFault::CannotConnect);
                return self.plan(now.plus_ms(10_000), end);
            }
            _ => {}
        }
        if queue_ms > 0 {
            self.plan(now, Observation::PlaceTold { track, assignment, place: 3 });
            now = now.plus_ms(queue_ms);
        }
        let actual = self.catalogue.size(variant);
        if actual != size {
            return self.plan(now, ended(track, assignment, TransferFault::SizeChanged(actual)));
        }
        if let Some(fault) = self.disk_fault() {
            return self.plan(now, ended(track, assignment, TransferFault::Disk(fault)));
        }
        if let Err(held) = self.disk.cut_to(track, attempt, range.start) {
            return self.plan(now, ended(track, assignment, TransferFault::StagingShort(held)));
        }
        self.plan(now, Observation::TransferStarted { track, assignment });
        if overlap > 0 {
            let range = ByteRange { start: range.start.saturating_sub(overlap), end: range.start };
            now = now.plus_ms(overlap * 1000 / self.peers[number].bytes_per_s);
            let equal = self.disk.agrees(&self.catalogue, track, attempt, range, variant);
            self.plan(now, Observation::OverlapCompared { track, assignment, range, equal });
            if !equal {
                return;
            }
        }
        self.stream(now, wanted, number, variant);
    }

    /// The bytes from the start of the range on, until they end or the peer does.
    fn stream(&mut self, mut now: Timestamp, wanted: &Wanted, number: usize, variant: VariantId) {
        let Wanted { track, attempt, assignment, size, range, .. } = *wanted;
        let SimPeer { fate, bytes_per_s: speed, .. } = self.peers[number];
        let mut rng = Rng::numbered(self.seed, "stream", assignment.0);
        let mut next = range.start;
        while next < size {
            // Slow peers are reported before a cell is full, but for the first.
            let cell = cell_end(next, size);
            let stop = if speed < 100_000 && next >= CHUNK_BYTES {
                rng.within(next + 1, cell + 1)
            } else {
                cell
            };
            if let Fate::Dies(after) | Fate::Stalls(after) = fate
                && stop > after
            {
                if let Fate::Dies(_) = fate {
                    self.peers[number].fate = Fate::Honest;
                    let end = ended(track, assignment, TransferFault::ConnectionCut);
                    self.plan(now.plus_ms(20), end);
                }
                return;
            }
            let piece = ByteRange { start: next, end: stop };
            let elapsed_ms = (piece.len() * 1000 / speed).max(1);
            now = now.plus_ms(elapsed_ms);
            self.disk.stage(track, attempt, piece, variant);
            let digest = content(self.catalogue.origin(variant, piece), piece);
            let arrived = |assignment, range| Observation::ChunkArrived {
                track,
                assignment,
                range,
                digest,
                elapsed_ms,
            };
            // A liar's last cell may be longer than its file.
            let longer = fate == Fate::Babbles && stop == size && rng.chance(30);
            let told = ByteRange { end: stop + u64::from(longer), ..piece };
            self.plan(now, arrived(assignment, told));
            if fate == Fate::Babbles && rng.chance(30) {
                // A late copy under a number that was never assigned, or bytes that do not come next.
                let stray = if rng.chance(70) {
                    arrived(AssignmentId(assignment.0 + 1000), piece)
                } else {
                    let beside = ByteRange { start: piece.start + 1, end: piece.end + 1 };
                    arrived(assignment, beside)
                };
                self.plan(now, stray);
            }
            next = stop;
        }
        let end = if fate == Fate::Babbles {
            TransferEnd::Failed(TransferFault::Surplus)
        } else {
            TransferEnd::Complete
        };
        self.plan(now, Observation::TransferEnded { track, assignment, end });
    }
}
