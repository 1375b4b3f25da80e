//! One node of a crowd: its engine, its disk, and what it is like.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::chunk::ByteRange;
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{Examination, Observation};
use domain::{AssignmentId, Envelope, PeerId, Timestamp, TrackKey};
use engine::Engine;

use super::Files;
use super::things::{Albums, FileId, content};
use crate::clock::Clock;
use crate::rng::Rng;

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    /// When it will be woken, if it is.
    pub(super) armed: Option<Timestamp>,
    /// Kept of those that are watched.
    pub(super) log: Option<Vec<Envelope>>,
    /// The album it wants.
    pub(super) wants: u32,
    /// Whether that stands in its library.
    pub(super) is_done: bool,
    /// What others can have of it.
    pub(super) files: Files,
    /// Who gave which bytes of each staged file.
    pub(super) staging: BTreeMap<(TrackKey, u16), Vec<(ByteRange, FileId)>>,
    /// Bytes a second that it gives to each at once.
    pub(super) rate: u64,
    pub(super) rtt_ms: u64,
    /// How many it gives to at once.
    pub(super) slots: usize,
    pub(super) giving: BTreeSet<u64>,
    pub(super) queue: VecDeque<u64>,
    pub(super) is_there: bool,
    /// Whether things go wrong with it.
    pub(super) is_fickle: bool,
    /// How often it was started: nothing of an earlier life is told in a later one.
    pub(super) life: u32,
    /// What it asked others for.
    pub(super) asked: BTreeMap<AssignmentId, u64>,
}

/// The name of a node on the network.
pub(super) fn peer(number: u32) -> PeerId {
    PeerId::Soulseek(format!("n{number}"))
}

/// The node of a name.
pub(super) fn number(peer: &PeerId) -> Option<u32> {
    peer.name().strip_prefix('n')?.parse().ok()
}

impl Node {
    pub(super) fn new(seed: u64, number: u32, albums: &Albums, faults: bool) -> Self {
        let mut rng = Rng::numbered(seed, "node", u64::from(number));
        let mut files = Files::new();
        // The first nodes have an album each, right and whole, and stay.
        let is_founder = number < albums.count;
        let is_fickle = faults && !is_founder;
        let is_liar = is_fickle && rng.chance(10);
        let first = number % albums.count;
        for album in [first, rng.within(0, u64::from(albums.count)) as u32] {
            let is_part = !is_founder && rng.chance(40);
            if !is_founder && rng.chance(60) {
                continue;
            }
            for track in 0..albums.tracks(album) {
                if !(is_part && rng.chance(50)) {
                    files.insert((album, track), albums.file(album, track, !is_liar));
                }
            }
        }
        let mut wants = rng.within(0, u64::from(albums.count)) as u32;
        if albums.count > 1 && files.contains_key(&(wants, 0)) {
            wants = (wants + 1) % albums.count;
        }
        files.retain(|(album, _), _| *album != wants || is_founder);
        Self {
            engine: Engine::new(),
            clock: Clock::default(),
            armed: None,
            log: None,
            wants,
            is_done: false,
            files,
            staging: BTreeMap::new(),
            rate: rng.within(20_000, 600_000),
            rtt_ms: rng.within(10, 300),
            slots: rng.within(1, 4) as usize,
            giving: BTreeSet::new(),
            queue: VecDeque::new(),
            is_there: true,
            is_fickle,
            life: 0,
            asked: BTreeMap::new(),
        }
    }

    /// When its engine wants to be woken, in true time.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.engine.deadline().map(|due| self.clock.when(due))
    }

    /// The one file that all staged bytes are of.
    pub(super) fn staged(&self, track: TrackKey, attempt: u16) -> Option<FileId> {
        let pieces = self.staging.get(&(track, attempt))?;
        let (_, first) = pieces.first()?;
        pieces.iter().all(|(_, file)| file == first).then_some(*first)
    }

    pub(super) fn examine(&self, track: TrackKey, attempt: u16, size: u64) -> Observation {
        let pieces = self.staging.get(&(track, attempt)).map_or(&[][..], Vec::as_slice);
        let held = pieces.last().map_or(0, |(piece, _)| piece.end);
        let Some(file) = self.staged(track, attempt).filter(|_| held == size) else {
            let detail = format!("{held} of {size} B");
            return Observation::StagingLost { track, attempt, detail };
        };
        let digest = content(file, ByteRange { start: 0, end: u64::MAX });
        let outcome = if file.is_right {
            Examination::Music(Examined {
                profile: CodecProfile {
                    codec: Codec::Flac,
                    sample_rate_hz: 44_100,
                    channels: 2,
                    bit_depth: Some(16),
                },
                duration_ms: 180_000,
                fingerprint: Fingerprint(vec![file.recording]),
            })
        } else {
            Examination::Fault(AudioFault::Damaged { at_ms: 1000, detail: "zeros".into() })
        };
        Observation::FileExamined { track, attempt, digest, outcome }
    }
}
