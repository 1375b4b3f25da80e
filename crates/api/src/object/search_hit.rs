//! What a search has found. Each says enough to be told apart in a list; the rest is with its job.

use async_graphql::{Enum, ID, SimpleObject, Union};
use domain::TrackKey;
use projections::search::{Hit, Kind};

use crate::object::{JobState, SourceState, TrackState};
use crate::scalar::{Bytes, Seq, small};

/// Something found.
#[derive(Union)]
pub(crate) enum SearchHit {
    Job(FoundJob),
    Track(FoundTrack),
    Source(FoundSource),
    File(FoundFile),
}

/// A job that was found.
#[derive(SimpleObject)]
pub(crate) struct FoundJob {
    /// Its ID.
    job: ID,
    /// MusicBrainz ID of the release.
    release: String,
    /// Title of the release; empty until it was looked up.
    title: String,
    /// Who it is credited to; empty until it was looked up.
    artist: String,
    /// What it is doing.
    state: JobState,
}

/// A track that was found.
#[derive(SimpleObject)]
pub(crate) struct FoundTrack {
    /// ID of its job.
    job: ID,
    /// Its number within the job, from 1.
    number: i32,
    /// MusicBrainz ID of the recording that must be found.
    recording: String,
    /// Title as on its release.
    title: String,
    /// Who it is credited to.
    artist: String,
    /// What it is doing.
    state: TrackState,
}

/// A file that somebody offers for a track.
#[derive(SimpleObject)]
pub(crate) struct FoundSource {
    /// ID of the track's job.
    job: ID,
    /// The track's number within the job, from 1.
    track: i32,
    /// Its number within the track.
    number: i32,
    /// Who has it: the network and the name there, such as slsk:ada.
    peer: String,
    /// Its path in the peer's words.
    path: String,
    /// Size of the file.
    size: Bytes,
    /// What it is doing; that its peer rests is told by its track.
    state: SourceState,
}

/// A file in the library.
#[derive(SimpleObject)]
pub(crate) struct FoundFile {
    /// ID of the job that brought it.
    job: ID,
    /// The track's number within the job, from 1.
    track: i32,
    /// MusicBrainz ID of what it is a recording of.
    recording: String,
    /// Where it stands, relative to the music folder.
    path: String,
}

/// What to search for.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchKind {
    /// Albums that were asked for.
    Job,
    /// Their tracks.
    Track,
    /// Files that somebody offers for a track.
    Source,
    /// Files in the library.
    File,
}

/// Up to where a search reaches.
#[derive(SimpleObject)]
pub(crate) struct SearchPosition {
    /// Position of the last event that is taken into account here.
    pub(crate) indexed_position: Seq,
}

impl From<SearchKind> for Kind {
    fn from(kind: SearchKind) -> Self {
        match kind {
            SearchKind::Job => Self::Job,
            SearchKind::Track => Self::Track,
            SearchKind::Source => Self::Source,
            SearchKind::File => Self::File,
        }
    }
}

impl From<Hit> for SearchHit {
    fn from(hit: Hit) -> Self {
        let ids =
            |track: TrackKey| (ID::from(track.job.to_string()), small(u32::from(track.index) + 1));
        match hit {
            Hit::Job { job, release, title, artist, state } => Self::Job(FoundJob {
                job: job.to_string().into(),
                release: release.to_string(),
                title,
                artist,
                state: state.into(),
            }),
            Hit::Track { track, recording, title, artist, state } => {
                let ((job, number), recording) = (ids(track), recording.to_string());
                let state = state.into();
                Self::Track(FoundTrack { job, number, recording, title, artist, state })
            }
            Hit::Source { track, source, peer, path, size, state } => {
                let (job, track) = ids(track);
                Self::Source(FoundSource {
                    job,
                    track,
                    number: small(source.0),
                    peer: peer.to_string(),
                    path,
                    size: Bytes(size),
                    state: state.into(),
                })
            }
            Hit::File { track, recording, path } => {
                let ((job, track), recording) = (ids(track), recording.to_string());
                Self::File(FoundFile { job, track, recording, path })
            }
        }
    }
}
