//! What can be found: documents made of the rows of a job, a track or a source, and what is shown of each.
//! The rows are those of [`crate::jobs`], folded by the same code, so both say the same of a state.

use domain::{JobId, PeerId, RecordingId, ReleaseId, SourceId, TrackKey};

use super::query::Field;
use super::words::words;
use crate::jobs::rows::{JobRow, SourceRow, TrackRow};
use crate::jobs::{JOB, JobState, SOURCE, SourceState, TRACK, TrackState};
use crate::jobs::{item_key, job_key, track_key};
use crate::table::{Row as _, TableError};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A job: an album.
    Job,
    /// A track of a job.
    Track,
    /// A file that somebody offers for a track.
    Source,
    /// A file in the library.
    File,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Job, Self::Track, Self::Source, Self::File];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Track => "track",
            Self::Source => "source",
            Self::File => "file",
        }
    }
}

/// The states that can be asked for.
pub(super) const STATES: [&str; 19] = [
    "queued",
    "looking_up",
    "searching",
    "active",
    "held",
    "failed",
    "cancelled",
    "completed",
    "wanted",
    "waiting",
    "downloading",
    "examining",
    "identifying",
    "publishing",
    "candidate",
    "sending",
    "set_aside",
    "dropped",
    "done",
];

/// Something found, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hit {
    /// A job.
    Job {
        /// Its number.
        job: JobId,
        /// The edition wanted.
        release: ReleaseId,
        /// Title of the release; empty until it was looked up.
        title: String,
        /// Who it is credited to; empty until it was looked up.
        artist: String,
        /// What it is doing.
        state: JobState,
    },
    /// A track.
    Track {
        /// Which one.
        track: TrackKey,
        /// The recording that must be found.
        recording: RecordingId,
        /// Title as on its release.
        title: String,
        /// Who it is credited to.
        artist: String,
        /// What it is doing.
        state: TrackState,
    },
    /// A source of a track.
    Source {
        /// The track.
        track: TrackKey,
        /// Its number within the track.
        source: SourceId,
        /// Who has it.
        peer: PeerId,
        /// Its path in the peer's words.
        path: String,
        /// Size in bytes.
        size: u64,
        /// What it is doing. That its peer rests is not known here.
        state: SourceState,
    },
    /// A file in the library.
    File {
        /// The track that it is.
        track: TrackKey,
        /// What it is a recording of.
        recording: RecordingId,
        /// Where it stands, relative to the music folder.
        path: String,
    },
}

/// What of a row can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) place: Place,
    /// Words by field, in the order of [`Field::ALL`].
    pub(super) words: [Vec<String>; 4],
    pub(super) id: Option<[u8; 16]>,
    pub(super) state: Option<&'static str>,
}

/// Which document it is; in the order in which equally good ones are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) track: TrackKey,
    pub(super) kind: Kind,
    /// The source's number; zero for anything else.
    pub(super) item: u32,
}

impl Place {
    /// The key of the row that it is made of.
    pub(super) fn key(self) -> Vec<u8> {
        match self.kind {
            Kind::Job => job_key(JOB, self.track.job),
            Kind::Track | Kind::File => track_key(TRACK, self.track),
            Kind::Source => item_key(SOURCE, self.track, self.item),
        }
    }
}

impl Document {
    /// How many words it has.
    pub(super) fn length(&self) -> u64 {
        self.words.iter().map(|words| words.len() as u64).sum()
    }

    pub(super) fn words_of(&self, field: Field) -> &[String] {
        &self.words[field as usize]
    }
}

/// The documents of a row; none for a row that nobody looks for.
pub(super) fn of(key: &[u8], row: &[u8]) -> Result<Vec<Document>, TableError> {
    let Some((kinds, track, item)) = parse(key) else { return Ok(Vec::new()) };
    let mut documents = Vec::new();
    for &kind in kinds {
        let Some(hit) = hit(Place { track, kind, item }, row)? else { continue };
        let place = Place { track, kind, item };
        let text = |text: &str| words(text);
        let none = Vec::new;
        documents.push(match &hit {
            Hit::Job { release, title, artist, state, .. } => Document {
                place,
                words: [text(title), text(artist), none(), none()],
                id: Some(release.0),
                state: Some(job_state(*state)),
            },
            Hit::Track { recording, title, artist, state, .. } => Document {
                place,
                words: [text(title), text(artist), none(), none()],
                id: Some(recording.0),
                state: Some(track_state(*state)),
            },
            Hit::Source { peer, path, state, .. } => Document {
                place,
                words: [none(), none(), text(path), text(peer.name())],
                id: None,
                state: Some(source_state(*state)),
            },
            Hit::File { recording, path, .. } => Document {
                place,
                words: [none(), none(), text(path), none()],
                id: Some(recording.0),
                state: None,
            },
        });
    }
    Ok(documents)
}

/// What is shown of a row as a document of some kind; `None` when it is no such document.
pub(super) fn hit(place: Place, row: &[u8]) -> Result<Option<Hit>, TableError> {
    let Place { track, kind, item } = place;
    Ok(match kind {
        Kind::Job => {
            let row = JobRow::decode(row)?;
            let JobRow { release, title, artist, state, .. } = row;
            Some(Hit::Job { job: track.job, release, title, artist, state })
        }
        Kind::Track => {
            let TrackRow { recording, title, artist, state, .. } = TrackRow::decode(row)?;
            Some(Hit::Track { track, recording, title, artist, state })
        }
        Kind::Source => {
            let SourceRow { peer, path, size, state, .. } = SourceRow::decode(row)?;
            Some(Hit::Source { track, source: SourceId(item), peer, path, size, state })
        }
        Kind::File => {
            let TrackRow { recording, path, state, .. } = TrackRow::decode(row)?;
            let path = path.filter(|_| state == TrackState::Completed);
            path.map(|path| Hit::File { track, recording, path })
        }
    })
}

fn parse(key: &[u8]) -> Option<(&'static [Kind], TrackKey, u32)> {
    let (table, rest) = key.split_first()?;
    let kinds: &[Kind] = match *table {
        JOB => &[Kind::Job],
        TRACK => &[Kind::Track, Kind::File],
        SOURCE => &[Kind::Source],
        _ => return None,
    };
    let (job, rest) = rest.split_first_chunk::<4>()?;
    let (index, rest) = rest.split_first_chunk::<2>().unwrap_or((&[0; 2], &[]));
    let item = rest.first_chunk::<4>().unwrap_or(&[0; 4]);
    let job = JobId(u32::from_be_bytes(*job));
    let track = TrackKey { job, index: u16::from_be_bytes(*index) };
    Some((kinds, track, u32::from_be_bytes(*item)))
}

fn job_state(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::LookingUp => "looking_up",
        JobState::Searching => "searching",
        JobState::Active => "active",
        JobState::Held { .. } => "held",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Completed => "completed",
    }
}

fn track_state(state: TrackState) -> &'static str {
    match state {
        TrackState::Wanted => "wanted",
        TrackState::Waiting { .. } => "waiting",
        TrackState::Queued { .. } => "queued",
        TrackState::Downloading => "downloading",
        TrackState::Examining => "examining",
        TrackState::Identifying => "identifying",
        TrackState::Publishing => "publishing",
        TrackState::Completed => "completed",
    }
}

fn source_state(state: SourceState) -> &'static str {
    match state {
        SourceState::Candidate => "candidate",
        SourceState::Queued { .. } => "queued",
        SourceState::Sending => "sending",
        SourceState::Resting { .. } => "resting",
        SourceState::SetAside => "set_aside",
        SourceState::Dropped => "dropped",
        SourceState::Done => "done",
    }
}
