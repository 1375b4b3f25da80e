//! What is wanted: one release with its tracks, as MusicBrainz describes it.

use rkyv::{Archive, Deserialize, Serialize};

use crate::id::{ArtistId, RecordingId, ReleaseGroupId, ReleaseId, TrackId};

/// A credit to one or more artists, as printed on the release.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Credit {
    /// Names joined by the release's own join phrases.
    pub name: String,
    /// The artists behind the names, in order.
    pub artists: Vec<ArtistId>,
}

/// An album to be completed.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The edition.
    pub release: ReleaseId,
    /// The album behind the edition.
    pub group: Option<ReleaseGroupId>,
    /// Title of the release.
    pub title: String,
    /// Who it is credited to.
    pub credit: Credit,
    /// Date of release as far as known: `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or empty.
    pub date: String,
    /// ISO 3166-1 country of release; empty when unknown.
    pub country: String,
    /// First label's name; empty when unknown.
    pub label: String,
    /// Barcode; empty when unknown.
    pub barcode: String,
    /// Number of media.
    pub media: u16,
    /// All tracks of all media, in order.
    pub tracks: Vec<Track>,
}

impl Target {
    /// Year of release, when the date has one.
    #[must_use]
    pub fn year(&self) -> Option<&str> {
        self.date.get(..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Number of tracks on the medium of `track`.
    #[must_use]
    pub fn tracks_on_medium(&self, medium: u16) -> usize {
        self.tracks.iter().filter(|track| track.medium == medium).count()
    }
}

/// One track of a [`Target`].
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub struct Track {
    /// The track's own identity.
    pub id: TrackId,
    /// The recording that must be found.
    pub recording: RecordingId,
    /// Medium, counted from 1.
    pub medium: u16,
    /// Position on the medium, counted from 1.
    pub position: u16,
    /// Title as on this release.
    pub title: String,
    /// Who the track is credited to.
    pub credit: Credit,
    /// Length in milliseconds, when known.
    pub duration_ms: Option<u64>,
    /// International Standard Recording Codes of the recording.
    pub isrcs: Vec<String>,
}
