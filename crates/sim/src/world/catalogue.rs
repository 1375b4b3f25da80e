//! What there is to be had: one album, and its files in good and bad copies.

use domain::chunk::{ByteRange, Digest};
use domain::id::{ArtistId, TrackId};
use domain::target::{Credit, Target, Track};
use domain::{RecordingId, ReleaseId};

use crate::rng::Rng;

/// The exact bytes of one file, by number.
pub(super) type VariantId = u32;

/// What a variant turns out to be when it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
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
pub(super) struct Variant {
    pub(super) track: u16,
    pub(super) size: u64,
    pub(super) truth: Truth,
}

/// The album and all copies of its files.
#[derive(Debug, Clone)]
pub(super) struct Catalogue {
    pub(super) target: Target,
    pub(super) variants: Vec<Variant>,
}

impl Catalogue {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let tracks = rng.within(1, 7) as u16;
        let mut catalogue = Self { target: album(tracks), variants: Vec::new() };
        // A title track is searched for in the words of its album.
        if rng.chance(25) {
            let target = &mut catalogue.target;
            target.tracks[0].title.clone_from(&target.title);
        }
        for track in 0..tracks {
            // The first variant of each track is right, so that an honest source can exist.
            for number in 0..rng.within(1, 4) {
                let variant = catalogue.variant(rng, track, number);
                catalogue.variants.push(variant);
            }
        }
        catalogue
    }

    fn variant(&self, rng: &mut Rng, track: u16, number: u64) -> Variant {
        let variants = &self.variants;
        // Sometimes another variant has the very same size.
        let twin = variants.last().filter(|other| other.track == track);
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
        Variant { track, size, truth }
    }

    pub(super) fn size(&self, id: VariantId) -> u64 {
        self.variants[id as usize].size
    }

    pub(super) fn truth(&self, id: VariantId) -> Truth {
        self.variants[id as usize].truth
    }

    pub(super) fn title(&self, track: u16) -> &str {
        &self.target.tracks[usize::from(track)].title
    }

    pub(super) fn is_right(&self, id: VariantId, track: u16) -> bool {
        let variant = &self.variants[id as usize];
        variant.truth == Truth::Right && variant.track == track
    }

    /// The variant that some bytes were first of: a damaged copy is its original up to the damage, and
    /// a file does not change by its name.
    pub(super) fn origin(&self, id: VariantId, piece: ByteRange) -> VariantId {
        match self.truth(id) {
            Truth::Neighbour { of } => of,
            Truth::Damaged { of, from } if piece.end <= from => of,
            Truth::Right | Truth::Stranger | Truth::WrongLength | Truth::Damaged { .. } => id,
        }
    }
}

/// Stands for the digest of a whole file.
pub(super) fn whole(variant: VariantId) -> Digest {
    content(variant, ByteRange { start: 0, end: u64::MAX })
}

/// Stands for the digest of some bytes of a variant.
pub(super) fn content(variant: VariantId, range: ByteRange) -> Digest {
    let mut rng = Rng::new(u64::from(variant) << 32 ^ range.start ^ range.end << 7, "content");
    let mut digest = [0; 32];
    for part in digest.chunks_exact_mut(8) {
        part.copy_from_slice(&rng.bits().to_le_bytes());
    }
    Digest(digest)
}

/// What MusicBrainz says of it, with so many tracks.
pub(crate) fn album(tracks: u16) -> Target {
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
