//! Staging and library: who gave which bytes of each staged file, and what stands where.

use std::collections::BTreeMap;

use domain::chunk::ByteRange;
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{DiskFault, Examination, Observation, PublishFault};
use domain::{Effect, Timestamp, TrackKey};

use super::World;
use super::catalogue::{Catalogue, Truth, VariantId, whole};
use crate::fault::Misfortune;
use crate::rng::Rng;

#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    /// Who gave which bytes of each staged file.
    staging: BTreeMap<(TrackKey, u16), Vec<(ByteRange, VariantId)>>,
    /// Which variants stand in the library, by path, and for which track.
    library: BTreeMap<String, (VariantId, u16)>,
}

impl Disk {
    pub(super) fn holds(&self, path: &str) -> Option<(VariantId, u16)> {
        self.library.get(path).copied()
    }

    pub(super) fn staged(&self) -> usize {
        self.staging.len()
    }

    /// Cuts a staged file to the start of a range, as the node does; what it has, when that is less.
    pub(super) fn cut_to(&mut self, track: TrackKey, attempt: u16, start: u64) -> Result<(), u64> {
        let staged = self.staging.entry((track, attempt)).or_default();
        staged.retain(|(piece, _)| piece.end <= start);
        let held = staged.last().map_or(0, |(piece, _)| piece.end);
        if held < start { Err(held) } else { Ok(()) }
    }

    /// Whether some bytes held are those of a variant.
    pub(super) fn agrees(
        &self,
        catalogue: &Catalogue,
        track: TrackKey,
        attempt: u16,
        range: ByteRange,
        variant: VariantId,
    ) -> bool {
        self.pieces(track, attempt).iter().filter(|(piece, _)| piece.end > range.start).all(
            |(piece, staged)| {
                catalogue.origin(*staged, *piece) == catalogue.origin(variant, *piece)
            },
        )
    }

    /// Bytes count as staged from the moment they are planned; a crash or a cut before they are
    /// recorded leaves them beyond the byte held, where the next transfer cuts them off.
    pub(super) fn stage(
        &mut self,
        track: TrackKey,
        attempt: u16,
        piece: ByteRange,
        variant: VariantId,
    ) {
        self.staging.entry((track, attempt)).or_default().push((piece, variant));
    }

    fn pieces(&self, track: TrackKey, attempt: u16) -> &[(ByteRange, VariantId)] {
        self.staging.get(&(track, attempt)).map_or(&[], Vec::as_slice)
    }

    fn examine(
        &self,
        catalogue: &Catalogue,
        track: TrackKey,
        attempt: u16,
        size: u64,
    ) -> Observation {
        let pieces = self.pieces(track, attempt);
        let held = pieces.last().map_or(0, |(piece, _)| piece.end);
        let origins: Vec<VariantId> =
            pieces.iter().map(|(piece, variant)| catalogue.origin(*variant, *piece)).collect();
        let Some((variant, last)) = origins.first().zip(origins.last()).filter(|_| held == size)
        else {
            let detail = format!("{held} of {size} B");
            return Observation::StagingLost { track, attempt, detail };
        };
        let mixed = origins.iter().any(|other| other != variant);
        let truth = catalogue.truth(*variant);
        let outcome = if mixed || matches!(truth, Truth::Damaged { .. }) {
            let detail = if mixed { "bytes of two files" } else { "zeros" };
            Examination::Fault(AudioFault::Damaged { at_ms: 1000, detail: detail.into() })
        } else {
            let number = match truth {
                Truth::Stranger => 200,
                _ => u32::from(catalogue.variants[*variant as usize].track) + 1,
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

    fn publish(
        &mut self,
        catalogue: &Catalogue,
        track: TrackKey,
        attempt: u16,
        path: String,
    ) -> Observation {
        let first = self.pieces(track, attempt).first();
        let Some(variant) = first.map(|(piece, variant)| catalogue.origin(*variant, *piece)) else {
            return Observation::StagingLost { track, attempt, detail: "gone".into() };
        };
        // As the node does: never over another file.
        let held = (variant, track.index);
        let taken = |path: &String| self.library.get(path).is_some_and(|there| *there != held);
        let names =
            std::iter::once(path.clone()).chain((2..).map(|number| format!("{path} ({number})")));
        let path = names.into_iter().find(|name| !taken(name)).unwrap_or(path);
        self.library.insert(path.clone(), held);
        Observation::FilePublished {
            track,
            attempt,
            path,
            size: catalogue.size(variant),
            digest: whole(variant ^ variant << 16),
        }
    }
}

impl World {
    /// Answers what is asked of staging and library.
    pub(super) fn write(&mut self, effect: Effect, at: Timestamp) {
        let mut rng = Rng::numbered(self.seed, "disk", self.agenda.planned());
        match effect {
            Effect::Examine { track, attempt, size } => {
                self.mislay(track, attempt);
                let seen = match self.disk_fault() {
                    Some(fault) => Observation::ExamineFailed { track, attempt, fault },
                    None => self.disk.examine(&self.catalogue, track, attempt, size),
                };
                self.plan(at.plus_ms(rng.within(20, 8_000)), seen);
            }
            Effect::Publish { track, attempt, path, .. } => {
                self.mislay(track, attempt);
                let seen = match self.disk_fault() {
                    Some(fault) => {
                        let fault = PublishFault::Disk(fault);
                        Observation::PublishFailed { track, attempt, fault }
                    }
                    None => self.disk.publish(&self.catalogue, track, attempt, path),
                };
                self.plan(at.plus_ms(rng.within(20, 100)), seen);
            }
            Effect::Discard { track, attempt } => {
                self.disk.staging.remove(&(track, attempt));
                self.plan(at.plus_ms(5), Observation::FileDiscarded { track, attempt });
            }
            other => unreachable!("{other:?} is not for the disk"),
        }
    }

    /// What the disk says to the next write, if it refuses it.
    pub(super) fn disk_fault(&mut self) -> Option<DiskFault> {
        self.take(|what| *what == Misfortune::DiskFull).map(|_| DiskFault::Full)
    }

    fn mislay(&mut self, track: TrackKey, attempt: u16) {
        if self.take(|what| *what == Misfortune::StagingLost).is_some() {
            self.disk.staging.remove(&(track, attempt));
        }
    }
}
