//! What there is to be had: albums, and right and wrong copies of their files.

use domain::chunk::{ByteRange, Digest};
use domain::id::{AcoustId, ArtistId, TrackId};
use domain::observation::{IdentityMatch, RemoteFile};
use domain::score::Ppm;
use domain::target::{Credit, Target, Track};
use domain::{RecordingId, ReleaseId};

use super::Files;
use crate::rng::Rng;

/// A copy of a file: what it is of, and whether it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) recording: u32,
    pub(super) is_right: bool,
    pub(super) size: u64,
}

/// All albums.
pub(super) struct Albums {
    seed: u64,
    pub(super) count: u32,
}

const TITLES: [&str; 6] = ["Amber", "Birch", "Cobalt", "Delta", "Ember", "Fjord"];

impl Albums {
    pub(super) fn new(seed: u64, count: u32) -> Self {
        Self { seed, count }
    }

    pub(super) fn tracks(&self, album: u32) -> u16 {
        Rng::numbered(self.seed, "tracks", u64::from(album)).within(3, 7) as u16
    }

    pub(super) fn file(&self, album: u32, track: u16, is_right: bool) -> FileId {
        let number = album * 8 + u32::from(track);
        let size = Rng::numbered(self.seed, "size", u64::from(number)).within(800_000, 8_000_000);
        FileId { recording: number, is_right, size: if is_right { size } else { size + 4_711 } }
    }

    pub(super) fn release(&self, album: u32) -> ReleaseId {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&album.to_le_bytes());
        ReleaseId(id)
    }

    pub(super) fn target(&self, album: u32) -> Target {
        let credit = Credit { name: "Sim Artist".into(), artists: vec![ArtistId([1; 16])] };
        let track = |index: u16| Track {
            id: TrackId([index as u8 + 1; 16]),
            recording: recording(album * 8 + u32::from(index)),
            medium: 1,
            position: index + 1,
            title: TITLES[usize::from(index)].into(),
            credit: credit.clone(),
            duration_ms: Some(180_000),
            isrcs: Vec::new(),
        };
        Target {
            release: self.release(album),
            group: None,
            title: format!("Album {album}"),
            credit: credit.clone(),
            date: "2001".into(),
            country: String::new(),
            label: String::new(),
            barcode: String::new(),
            media: 1,
            tracks: (0..self.tracks(album)).map(track).collect(),
        }
    }

    pub(super) fn offered(&self, album: u32, files: &Files) -> Vec<RemoteFile> {
        let of = files.range((album, 0)..=(album, u16::MAX));
        of.map(|((_, track), file)| RemoteFile {
            path: path(album, *track),
            size: file.size,
            bitrate_kbps: None,
            duration_s: None,
        })
        .collect()
    }
}

fn path(album: u32, track: u16) -> String {
    let title = TITLES[usize::from(track)];
    format!(r"Music\Sim Artist - Album {album}\{:02} - {title}.flac", track + 1)
}

/// The number that a file has within its album by its path.
pub(super) fn track_of(path: &str) -> Option<u16> {
    let name = path.rsplit('\\').next()?;
    name.get(..2)?.parse::<u16>().ok()?.checked_sub(1)
}

fn recording(number: u32) -> RecordingId {
    let mut id = [9; 16];
    id[..4].copy_from_slice(&number.to_le_bytes());
    RecordingId(id)
}

/// What a fingerprint sounds like.
pub(super) fn matches(heard: u32) -> Vec<IdentityMatch> {
    let id = recording(heard);
    vec![IdentityMatch { acoustid: AcoustId(id.0), score: Ppm(950_000), recordings: vec![id] }]
}

/// Stands for the digest of some bytes of a file.
pub(super) fn content(file: FileId, range: ByteRange) -> Digest {
    let what = u64::from(file.recording) << 1 | u64::from(file.is_right);
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&what.to_le_bytes());
    digest[8..16].copy_from_slice(&range.start.to_le_bytes());
    digest[16..24].copy_from_slice(&range.end.to_le_bytes());
    Digest(digest)
}
