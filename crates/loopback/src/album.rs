//! The imaginary album that the demo asks for: its description as MusicBrainz would give it, and
//! how each of its tracks sounds. The notes are written in [`crate::music`].

use domain::id::{AcoustId, ArtistId, ReleaseGroupId, TrackId};
use domain::target::{Credit, Target, Track};
use domain::{RecordingId, ReleaseId};

use crate::music::{Pcm, compose};

/// The release that the demo's album is.
pub const RELEASE: ReleaseId = ReleaseId([
    0x5e, 0x0a, 0x11, 0x0c, 0x7a, 0x1b, 0x4d, 0x2e, 0x8f, 0x30, 0x1d, 0x6c, 0x2b, 0x90, 0xe4, 0x77,
]);

/// Title and length in seconds of each track.
const TRACKS: [(&str, u32); 9] = [
    ("Slack Water", 31),
    ("Lamplighter", 27),
    ("Salt on the Sill", 34),
    ("Paper Boats", 29),
    ("Café at the Pier", 25),
    ("Fog Signal", 36),
    ("Eleven Gulls", 28),
    ("The Ferryman's Ledger", 33),
    ("Harbour Lights", 30),
];

/// Where the music of other recordings begins, far from the tracks' own.
const STRANGERS: u64 = 1000;

/// The description of the album.
#[must_use]
pub fn target() -> Target {
    let credit =
        Credit { name: "The Tin Orchard".into(), artists: vec![ArtistId(numbered(0xa0, 0))] };
    Target {
        release: RELEASE,
        group: Some(ReleaseGroupId(numbered(0xb0, 0))),
        title: "Harbour Lights".into(),
        credit: credit.clone(),
        date: "1999-09-20".into(),
        country: "XW".into(),
        label: "Quay Records".into(),
        barcode: "0000000009994".into(),
        media: 1,
        tracks: (0u8..)
            .zip(TRACKS)
            .map(|(index, (title, seconds))| Track {
                id: TrackId(numbered(0xc0, index)),
                recording: recording(index),
                medium: 1,
                position: u16::from(index) + 1,
                title: title.into(),
                credit: credit.clone(),
                duration_ms: Some(u64::from(seconds) * 1000),
                isrcs: vec![format!("XXA0199{index:05}")],
            })
            .collect(),
    }
}

/// The recording of a track, counted from 0.
#[must_use]
pub fn recording(index: u8) -> RecordingId {
    RecordingId(numbered(0xd0, index))
}

/// The AcoustID of a track's sound.
#[must_use]
pub fn acoustid(index: u8) -> AcoustId {
    AcoustId(numbered(0xe0, index))
}

/// The AcoustID of what [`stranger`] is.
#[must_use]
pub fn stranger_acoustid(index: u8) -> AcoustId {
    AcoustId(numbered(0x90, index))
}

/// How a track sounds.
#[must_use]
pub fn sound(index: u8) -> Pcm {
    compose(u64::from(index) + 1, seconds(index))
}

/// Another recording of exactly the same length.
#[must_use]
pub fn stranger(index: u8) -> Pcm {
    compose(u64::from(index) + STRANGERS, seconds(index))
}

/// The recording that [`stranger`] is.
#[must_use]
pub fn stranger_recording(index: u8) -> RecordingId {
    RecordingId(numbered(0xf0, index))
}

fn seconds(index: u8) -> u32 {
    TRACKS.get(usize::from(index)).map_or(30, |(_, seconds)| *seconds)
}

/// A version-4-shaped identifier that says what it is of and which.
fn numbered(kind: u8, index: u8) -> [u8; 16] {
    let mut id = [kind; 16];
    id[6] = 0x40 | (kind & 0x0f);
    id[8] = 0x80 | (kind & 0x3f);
    id[15] = index;
    id
}
