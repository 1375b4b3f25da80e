//! The simulated outside: one album, some peers that have it in good and bad copies, metadata
//! services and a staging area. It keeps its own account of every staged byte, apart from the
//! engine's, so that [`crate::check`] can compare the two.

use std::collections::{BTreeMap, BTreeSet};

use domain::chunk::{ByteRange, CHUNK_BYTES, Digest, cell_end};
use domain::id::{AcoustId, ArtistId, TrackId};
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{
    DiskFault, Examination, IdentityMatch, Lookup, LookupFault, Observation, PublishFault,
    RemoteFile, SessionEnd, TransferEnd, TransferFault,
};
use domain::score::Ppm;
use domain::target::{Credit, Target, Track};
use domain::{AssignmentId, Effect, PeerId, RecordingId, ReleaseId, Timestamp, TrackKey};

use crate::rng::Rng;

/// The exact bytes of one file, by number.
type VariantId = u32;

/// What a variant turns out to be when it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// The recording it is called.
    Right,
    /// Another recording under the right name.
    Stranger,
    /// The right file of another wanted track, under the wrong name.
    Neighbour { of: VariantId },
    /// The bytes of another variant up to a place, and zeros from there on.
    Damaged { of: VariantId, from: u64 },
    /// Another edit.
    WrongLength,
}

#[derive(Debug, Clone)]
struct Variant {
    track: u16,
    size: u64,
    truth: Truth,
}

#[derive(Debug, Clone)]
struct SimPeer {
    id: PeerId,
    bytes_per_s: u64,
    queue_ms: u64,
    /// Variant offered for each track, if any.
    files: BTreeMap<u16, VariantId>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Honest,
    /// The connection breaks after so many bytes, once.
    Dies(u64),
    /// Silence after so many bytes, every time.
    Stalls(u64),
    /// Every request is refused.
    Denies,
    /// Cannot be reached.
    Unreachable,
    /// Offers one size and has another.
    Resizes,
    /// Sends more than asked, or what was not asked.
    Babbles,
}

/// The simulated outside.
#[derive(Debug, Clone)]
pub struct World {
    rng: Rng,
    release: ReleaseId,
    target: Target,
    variants: Vec<Variant>,
    peers: Vec<SimPeer>,
    /// What is to happen, by time and order of planning.
    agenda: BTreeMap<(Timestamp, u64), Observation>,
    planned: u64,
    cancelled: BTreeSet<AssignmentId>,
    /// Who gave which bytes of each staged file.
    staging: BTreeMap<(TrackKey, u16), Vec<(ByteRange, VariantId)>>,
    /// Which variants stand in the library, by path, and for which track.
    library: BTreeMap<String, (VariantId, u16)>,
    /// Whether we are logged in; the transfers under way end with the session.
    session: bool,
    disk_full: u32,
}

impl World {
    /// The world of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "world");
        let tracks = rng.within(1, 7) as u16;
        let target = album(tracks);
        let (mut variants, mut peers) = (Vec::new(), Vec::new());
        for track in 0..tracks {
            // The first variant of each track is right, so that an honest source can exist.
            for number in 0..rng.within(1, 4) {
                // Sometimes another variant has the very same size.
                let twin = variants.last().filter(|other: &&Variant| other.track == track);
                let mut size = match twin {
                    Some(other) if rng.chance(30) => other.size,
                    _ => rng.within(1, 1_500_000),
                };
                let truth = match (number, rng.within(0, 4), twin) {
                    (0, _, _) | (_, 0, _) => Truth::Right,
                    (_, 1, _) => {
                        let right = |v: &Variant| v.track + 1 == track && v.truth == Truth::Right;
                        match variants.iter().position(right).filter(|_| rng.chance(60)) {
                            Some(of) => {
                                size = variants[of].size;
                                Truth::Neighbour { of: of as VariantId }
                            }
                            None => Truth::Stranger,
                        }
                    }
                    // A damaged copy is of the size of what it was copied from.
                    (_, 2, Some(other)) if other.truth == Truth::Right => {
                        size = other.size;
                        let of = variants.len() as VariantId - 1;
                        Truth::Damaged { of, from: rng.within(0, size) }
                    }
                    _ => Truth::WrongLength,
                };
                variants.push(Variant { track, size, truth });
            }
        }
        for number in 0..rng.within(2, 7) {
            let mut files = BTreeMap::new();
            for (id, variant) in (0u32..).zip(&variants) {
                if rng.chance(60) {
                    files.entry(variant.track).or_insert(id);
                }
            }
            let fate = match rng.within(0, 12) {
                0 => Fate::Dies(rng.within(0, 900_000)),
                1 => Fate::Stalls(rng.within(0, 900_000)),
                2 => Fate::Denies,
                3 => Fate::Unreachable,
                4 => Fate::Resizes,
                5 => Fate::Babbles,
                _ => Fate::Honest,
            };
            peers.push(SimPeer {
                id: PeerId::Soulseek(format!("peer{number}")),
                bytes_per_s: rng.within(20_000, 2_000_000),
                queue_ms: if rng.chance(30) { rng.within(1000, 4_000_000) } else { 0 },
                files,
                fate,
            });
        }
        // One honest peer has every track right: with it, every job must complete.
        let files = (0u32..)
            .zip(&variants)
            .filter(|(_, variant)| variant.truth == Truth::Right)
            .fold(BTreeMap::new(), |mut files, (id, variant)| {
                files.entry(variant.track).or_insert(id);
                files
            });
        peers.push(SimPeer {
            id: PeerId::Soulseek("honest".into()),
            bytes_per_s: rng.within(20_000, 200_000),
            queue_ms: rng.within(0, 60_000),
            files,
            fate: Fate::Honest,
        });
        let disk_full = if rng.chance(15) { rng.within(1, 4) as u32 } else { 0 };
        Self {
            rng,
            release: target.release,
            target,
            variants,
            peers,
            agenda: BTreeMap::new(),
            planned: 0,
            cancelled: BTreeSet::new(),
            staging: BTreeMap::new(),
            library: BTreeMap::new(),
            session: false,
            disk_full,
        }
    }

    /// The release that the album job is for.
    #[must_use]
    pub fn release(&self) -> ReleaseId {
        self.release
    }

    /// The next thing that happens, if it happens before `limit`.
    pub fn next(&mut self, limit: Option<Timestamp>) -> Option<(Timestamp, Observation)> {
        loop {
            let ((at, _), _) = self.agenda.first_key_value()?;
            if limit.is_some_and(|limit| *at > limit) {
                return None;
            }
            let ((at, _), seen) = self.agenda.pop_first()?;
            if let Some(seen) = self.happen(at, seen) {
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

    /// The connection to the server is lost: every transfer ends, before or after that is told, and
    /// some time later we are logged in again.
    pub fn lose_session(&mut self, at: Timestamp) {
        if !self.session {
            return;
        }
        self.session = false;
        let mut under_way = BTreeSet::new();
        self.agenda.retain(|_, seen| match seen {
            Observation::PlaceTold { track, assignment, .. }
            | Observation::TransferStarted { track, assignment }
            | Observation::OverlapCompared { track, assignment, .. }
            | Observation::ChunkArrived { track, assignment, .. }
            | Observation::TransferEnded { track, assignment, .. } => {
                under_way.insert((*track, *assignment));
                false
            }
            _ => true,
        });
        for (track, assignment) in under_way {
            let end = TransferEnd::Failed(TransferFault::SessionClosed);
            let wait = self.rng.within(1, 60);
            self.plan(at.plus_ms(wait), Observation::TransferEnded { track, assignment, end });
        }
        let reason = SessionEnd::Lost("reset".into());
        self.plan(at.plus_ms(30), Observation::SessionClosed { reason });
        let wait = self.rng.within(1_000, 60_000);
        self.plan(at.plus_ms(wait), Observation::SessionOpened);
    }

    /// Whether the library has the right recording at a path.
    #[must_use]
    pub fn is_right(&self, path: &str) -> bool {
        self.library.get(path).is_some_and(|(id, track)| {
            let variant = &self.variants[*id as usize];
            variant.truth == Truth::Right && variant.track == *track
        })
    }

    /// News that nobody asked for: the session with the server.
    pub fn log_in(&mut self, at: Timestamp) {
        self.plan(at.plus_ms(50), Observation::SessionOpened);
    }

    fn plan(&mut self, at: Timestamp, seen: Observation) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), seen);
    }

    /// News on its way in: of a cancelled transfer it is mostly, not always, held back, and some news
    /// comes twice.
    fn happen(&mut self, at: Timestamp, seen: Observation) -> Option<Observation> {
        match &seen {
            Observation::PlaceTold { assignment, .. }
            | Observation::TransferStarted { assignment, .. }
            | Observation::OverlapCompared { assignment, .. }
            | Observation::ChunkArrived { assignment, .. }
            | Observation::TransferEnded { assignment, .. } => {
                let held_back = self.cancelled.contains(assignment) && !self.rng.chance(10);
                return (!held_back).then_some(seen);
            }
            Observation::SessionOpened => self.session = true,
            Observation::FileExamined { .. }
            | Observation::RecordingIdentified { .. }
            | Observation::FilePublished { .. }
            | Observation::PublishFailed { .. }
            | Observation::FileDiscarded { .. }
                if self.rng.chance(5) =>
            {
                let wait = self.rng.within(1, 5_000);
                self.plan(at.plus_ms(wait), seen.clone());
            }
            _ => {}
        }
        Some(seen)
    }

    /// Starts what an effect asks for.
    pub fn perform(&mut self, effect: Effect, at: Timestamp) {
        match effect {
            Effect::FetchRelease { job, .. } => {
                let wait = self.rng.within(50, 900);
                let seen = if self.rng.chance(25) {
                    Observation::LookupFailed {
                        lookup: Lookup::Release { job },
                        fault: LookupFault::Busy { status: 503, retry_after_ms: Some(1000) },
                    }
                } else {
                    Observation::ReleaseFetched { job, target: self.target.clone() }
                };
                self.plan(at.plus_ms(wait), seen);
            }
            Effect::Identify { track, attempt, fingerprint, .. } => {
                let wait = self.rng.within(50, 900);
                let seen = if self.rng.chance(15) {
                    Observation::LookupFailed {
                        lookup: Lookup::Identity { track, attempt },
                        fault: LookupFault::Unreachable("no route".into()),
                    }
                } else {
                    let recording = RecordingId([fingerprint.0[0] as u8; 16]);
                    Observation::RecordingIdentified {
                        track,
                        attempt,
                        matches: vec![IdentityMatch {
                            acoustid: AcoustId([fingerprint.0[0] as u8; 16]),
                            score: Ppm(950_000),
                            recordings: vec![recording],
                        }],
                    }
                };
                self.plan(at.plus_ms(wait), seen);
            }
            Effect::Search { job, search, query, open_ms } => {
                for number in 0..self.peers.len() {
                    if self.rng.chance(10) {
                        continue;
                    }
                    let wait = self.rng.within(20, open_ms.max(21));
                    let peer = &self.peers[number];
                    let files: Vec<_> = peer
                        .files
                        .iter()
                        .filter(|(track, _)| {
                            let title = &self.target.tracks[usize::from(**track)].title;
                            query.contains("album") || query.contains(&title.to_lowercase())
                        })
                        .map(|(track, variant)| RemoteFile {
                            path: format!(
                                r"Music\Sim Artist - Sim Album\{:02} - {}.flac",
                                track + 1,
                                self.target.tracks[usize::from(*track)].title
                            ),
                            size: match peer.fate {
                                Fate::Resizes => self.variants[*variant as usize].size + 7,
                                _ => self.variants[*variant as usize].size,
                            },
                            bitrate_kbps: None,
                            duration_s: None,
                        })
                        .collect();
                    if files.is_empty() {
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
                    self.plan(at.plus_ms(wait), seen);
                }
                self.plan(at.plus_ms(open_ms), Observation::SearchEnded { job, search });
            }
            Effect::FetchRange {
                track, attempt, assignment, peer, size, range, overlap, ..
            } => {
                self.fetch(at, track, attempt, assignment, &peer, size, range, overlap);
            }
            Effect::CancelTransfer { assignment } => {
                self.cancelled.insert(assignment);
            }
            Effect::Examine { track, attempt, size } => {
                let wait = self.rng.within(20, 400);
                let seen = self.examine(track, attempt, size);
                self.plan(at.plus_ms(wait), seen);
            }
            Effect::Publish { track, attempt, path, .. } => {
                let wait = self.rng.within(20, 100);
                let variant = self
                    .staging
                    .get(&(track, attempt))
                    .and_then(|pieces| pieces.first())
                    .map(|(piece, variant)| origin(&self.variants, *variant, *piece));
                let seen = match variant {
                    _ if self.disk_full > 0 => {
                        self.disk_full -= 1;
                        Observation::PublishFailed {
                            track,
                            attempt,
                            fault: PublishFault::Disk(DiskFault::Full),
                        }
                    }
                    Some(variant) => {
                        // As the node does: never over another file.
                        let held = (variant, track.index);
                        let taken = |path: &String| {
                            self.library.get(path).is_some_and(|there| *there != held)
                        };
                        let names = std::iter::once(path.clone())
                            .chain((2..).map(|number| format!("{path} ({number})")));
                        let path = names.into_iter().find(|name| !taken(name)).unwrap_or(path);
                        self.library.insert(path.clone(), held);
                        let size = self.variants[variant as usize].size;
                        Observation::FilePublished {
                            track,
                            attempt,
                            path,
                            size,
                            digest: whole(variant ^ variant << 16),
                        }
                    }
                    None => Observation::StagingLost { track, attempt, detail: "gone".into() },
                };
                self.plan(at.plus_ms(wait), seen);
            }
            Effect::Discard { track, attempt } => {
                self.staging.remove(&(track, attempt));
                self.plan(at.plus_ms(5), Observation::FileDiscarded { track, attempt });
            }
            Effect::Share { .. } => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of the effect")]
    fn fetch(
        &mut self,
        at: Timestamp,
        track: TrackKey,
        attempt: u16,
        assignment: AssignmentId,
        peer: &PeerId,
        size: u64,
        range: ByteRange,
        overlap: u64,
    ) {
        let end = |fault| Observation::TransferEnded {
            track,
            assignment,
            end: TransferEnd::Failed(fault),
        };
        if !self.session {
            return self.plan(at.plus_ms(40), end(TransferFault::SessionClosed));
        }
        let Some(number) = self.peers.iter().position(|known| known.id == *peer) else {
            return self.plan(at.plus_ms(10), end(TransferFault::PeerOffline));
        };
        let Some(variant) = self.peers[number].files.get(&track.index).copied() else {
            return self.plan(at.plus_ms(10), end(TransferFault::PeerOffline));
        };
        let (fate, speed, queue) =
            (self.peers[number].fate, self.peers[number].bytes_per_s, self.peers[number].queue_ms);
        let actual = self.variants[variant as usize].size;
        let mut now = at.plus_ms(self.rng.within(5, 200));
        match fate {
            Fate::Denies => {
                return self.plan(now, end(TransferFault::Denied("File not shared.".into())));
            }
            Fate::Unreachable => {
                return self.plan(now.plus_ms(10_000), end(TransferFault::CannotConnect));
            }
            _ => {}
        }
        if queue > 0 {
            self.plan(now, Observation::PlaceTold { track, assignment, place: 3 });
            now = now.plus_ms(queue);
        }
        if actual != size {
            return self.plan(now, end(TransferFault::SizeChanged(actual)));
        }
        let staged = self.staging.entry((track, attempt)).or_default();
        // Staging is cut to the start of the range, as the node does.
        staged.retain(|(piece, _)| piece.end <= range.start);
        let held = staged.last().map_or(0, |(piece, _)| piece.end);
        if held < range.start {
            return self.plan(now, end(TransferFault::StagingShort(held)));
        }
        let before = ByteRange { start: range.start.saturating_sub(overlap), end: range.start };
        let (variants, staged) = (&self.variants, &self.staging[&(track, attempt)]);
        let same =
            staged.iter().filter(|(piece, _)| piece.end > before.start).all(|(piece, staged)| {
                origin(variants, *staged, *piece) == origin(variants, variant, *piece)
            });
        self.plan(now, Observation::TransferStarted { track, assignment });
        if overlap > 0 {
            now = now.plus_ms(overlap * 1000 / speed);
            let seen =
                Observation::OverlapCompared { track, assignment, range: before, equal: same };
            self.plan(now, seen);
            if !same {
                return;
            }
        }
        let mut next = range.start;
        while next < size {
            // Slow peers are reported before a cell is full, but for the first.
            let cell = cell_end(next, size);
            let stop = if speed < 100_000 && next >= CHUNK_BYTES {
                self.rng.within(next + 1, cell + 1)
            } else {
                cell
            };
            if let Fate::Dies(after) | Fate::Stalls(after) = fate
                && stop > after
            {
                if let Fate::Dies(_) = fate {
                    self.peers[number].fate = Fate::Honest;
                    self.plan(now.plus_ms(20), end(TransferFault::ConnectionCut));
                }
                return;
            }
            let piece = ByteRange { start: next, end: stop };
            let elapsed_ms = (piece.len() * 1000 / speed).max(1);
            now = now.plus_ms(elapsed_ms);
            self.stage(track, attempt, piece, variant);
            let digest = content(origin(&self.variants, variant, piece), piece);
            self.plan(
                now,
                Observation::ChunkArrived { track, assignment, range: piece, digest, elapsed_ms },
            );
            if fate == Fate::Babbles && self.rng.chance(30) {
                // A late copy under a number that was never assigned, or bytes that do not come next.
                let (assignment, piece) = if self.rng.chance(70) {
                    (AssignmentId(assignment.0 + 1000), piece)
                } else {
                    (assignment, ByteRange { start: piece.start + 1, end: piece.end + 1 })
                };
                self.plan(
                    now,
                    Observation::ChunkArrived {
                        track,
                        assignment,
                        range: piece,
                        digest,
                        elapsed_ms,
                    },
                );
            }
            next = stop;
        }
        let how = if fate == Fate::Babbles {
            TransferEnd::Failed(TransferFault::Surplus)
        } else {
            TransferEnd::Complete
        };
        self.plan(now, Observation::TransferEnded { track, assignment, end: how });
    }

    /// Bytes count as staged from the moment they are planned; a crash or a cut before they are
    /// recorded leaves them beyond the byte held, where the next transfer cuts them off.
    fn stage(&mut self, track: TrackKey, attempt: u16, piece: ByteRange, variant: VariantId) {
        self.staging.entry((track, attempt)).or_default().push((piece, variant));
    }

    fn examine(&self, track: TrackKey, attempt: u16, size: u64) -> Observation {
        let pieces = self.staging.get(&(track, attempt)).map_or(&[][..], Vec::as_slice);
        let held = pieces.last().map_or(0, |(piece, _)| piece.end);
        let origins: Vec<VariantId> = pieces
            .iter()
            .map(|(piece, variant)| origin(&self.variants, *variant, *piece))
            .collect();
        let Some((variant, last)) = origins.first().zip(origins.last()).filter(|_| held == size)
        else {
            let detail = format!("{held} of {size} B");
            return Observation::StagingLost { track, attempt, detail };
        };
        let mixed = origins.iter().any(|other| other != variant);
        let truth = self.variants[*variant as usize].truth;
        let outcome = if mixed || matches!(truth, Truth::Damaged { .. }) {
            let detail = if mixed { "bytes of two files" } else { "zeros" };
            Examination::Fault(AudioFault::Damaged { at_ms: 1000, detail: detail.into() })
        } else {
            let number = match truth {
                Truth::Stranger => 200,
                _ => u32::from(self.variants[*variant as usize].track) + 1,
            };
            Examination::Music(Examined {
                profile: CodecProfile {
                    codec: Codec::Flac,
                    sample_rate_hz: 44_100,
                    channels: 2,
                    bit_depth: Some(16),
                },
                duration_ms: if truth == Truth::WrongLength { 90_000 } else { 180_000 },
                fingerprint: Fingerprint(vec![number]),
            })
        };
        let digest = whole(*variant ^ last << 16);
        Observation::FileExamined { track, attempt, digest, outcome }
    }
}

fn album(tracks: u16) -> Target {
    const NAMES: [&str; 6] = ["Amber", "Birch", "Cobalt", "Delta", "Ember", "Fjord"];
    let credit = Credit { name: "Sim Artist".into(), artists: vec![ArtistId([1; 16])] };
    Target {
        release: ReleaseId([42; 16]),
        group: None,
        title: "Sim Album".into(),
        credit: credit.clone(),
        date: "2001".into(),
        country: String::new(),
        label: String::new(),
        barcode: String::new(),
        media: 1,
        tracks: (0..tracks)
            .map(|index| Track {
                id: TrackId([index as u8 + 1; 16]),
                recording: RecordingId([index as u8 + 1; 16]),
                medium: 1,
                position: index + 1,
                title: NAMES[usize::from(index) % NAMES.len()].into(),
                credit: credit.clone(),
                duration_ms: Some(180_000),
                isrcs: Vec::new(),
            })
            .collect(),
    }
}

fn whole(variant: VariantId) -> Digest {
    content(variant, ByteRange { start: 0, end: u64::MAX })
}

/// The variant that some bytes were first of: a damaged copy is its original up to the damage, and a
/// file does not change by its name.
fn origin(variants: &[Variant], id: VariantId, piece: ByteRange) -> VariantId {
    match variants[id as usize].truth {
        Truth::Neighbour { of } => of,
        Truth::Damaged { of, from } if piece.end <= from => of,
        Truth::Right | Truth::Stranger | Truth::WrongLength | Truth::Damaged { .. } => id,
    }
}

/// Stands for the digest of some bytes of a variant.
fn content(variant: VariantId, range: ByteRange) -> Digest {
    let mut rng = Rng::new(u64::from(variant) << 32 ^ range.start ^ range.end << 7, "content");
    let mut digest = [0; 32];
    for part in digest.chunks_exact_mut(8) {
        part.copy_from_slice(&rng.bits().to_le_bytes());
    }
    Digest(digest)
}
