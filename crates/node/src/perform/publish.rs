//! Puts a verified file into the library: tags a copy, then moves it to its place. Never overwrites
//! another file, and leaves either nothing or the whole file, whenever the process dies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use audio::write_tags;
use domain::TrackKey;
use domain::chunk::Digest;
use domain::effect::Tags;
use domain::observation::{DiskFault, Observation};

use super::{Tools, blocking};
use crate::staging::{self, Staging};

/// How many files of one name may stand side by side.
const NAMESAKES: u32 = 100;

pub(super) async fn run(
    tools: &Tools,
    track: TrackKey,
    attempt: u16,
    digest: Digest,
    path: String,
    tags: Box<Tags>,
) -> Observation {
    let (staging, music) = (tools.staging.clone(), tools.music.clone());
    blocking(move || {
        let staged = staging.digest(track, attempt);
        match staged {
            Ok(Some((found, _))) if found == digest => {}
            Ok(_) => {
                let detail = "the verified file is not in staging".into();
                return Observation::StagingLost { track, attempt, detail };
            }
            Err(error) => {
                return Observation::PublishFailed { track, fault: staging::fault(&error) };
            }
        }
        match place(&staging, &music, track, attempt, &path, &tags) {
            Ok((path, size, digest)) => Observation::FilePublished { track, path, size, digest },
            Err(fault) => Observation::PublishFailed { track, fault },
        }
    })
    .await
}

fn place(
    staging: &Staging,
    music: &Path,
    track: TrackKey,
    attempt: u16,
    path: &str,
    tags: &Tags,
) -> Result<(String, u64, Digest), DiskFault> {
    let disk = |error: io::Error| staging::fault(&error);
    let wanted = music.join(path);
    let folder = wanted.parent().unwrap_or(music);
    fs::create_dir_all(folder).map_err(disk)?;
    // The copy stands beside its place, so that moving it there is one step of the file system.
    let ending = wanted.extension().and_then(|ending| ending.to_str()).unwrap_or("part");
    let copy = Copy(folder.join(format!(".reprise-{}-{}.{ending}", track.job, track.index + 1)));
    fs::copy(staging.path(track, attempt), &copy.0).map_err(disk)?;
    write_tags(&copy.0, &picard(tags)).map_err(|error| DiskFault::Other(chain(&error)))?;
    fs::File::open(&copy.0).and_then(|file| file.sync_all()).map_err(disk)?;
    let (digest, size) = staging::digest(&copy.0).map_err(disk)?;
    for number in 1..=NAMESAKES {
        let (path, place) = namesake(path, &wanted, number);
        match staging::digest(&place) {
            // It is ours, published before a crash could be recorded.
            Ok((found, _)) if found == digest => return Ok((path, size, digest)),
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk(error)),
        }
        fs::rename(&copy.0, &place).map_err(disk)?;
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk)?;
        return Ok((path, size, digest));
    }
    Err(DiskFault::Other(format!("{NAMESAKES} other files have the name {path}")))
}

/// The first name, or the same with ` (2)` and so on before its ending.
fn namesake(path: &str, wanted: &Path, number: u32) -> (String, PathBuf) {
    if number == 1 {
        return (path.to_owned(), wanted.to_owned());
    }
    let numbered = match path.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem} ({number}).{ending}"),
        None => format!("{path} ({number})"),
    };
    let place = match numbered.rsplit_once('/') {
        Some((_, name)) => wanted.with_file_name(name),
        None => wanted.with_file_name(&numbered),
    };
    (numbered, place)
}

/// A copy that is deleted unless it was moved away.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// The tags as Picard would write them.
fn picard(tags: &Tags) -> audio::Tags {
    let Tags { release, track, tracks_on_medium, acoustid } = tags;
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    audio::Tags {
        title: text(&track.title),
        artist: text(&track.credit.name),
        album: text(&release.title),
        album_artist: text(&release.credit.name),
        track_number: Some(u32::from(track.position)),
        track_total: Some(u32::from(*tracks_on_medium)),
        disc_number: Some(u32::from(track.medium)),
        disc_total: Some(u32::from(release.media)),
        date: text(&release.date),
        isrc: track.isrcs.first().cloned(),
        acoustid_id: Some(acoustid.to_string()),
        musicbrainz_recording_id: Some(track.recording.to_string()),
        musicbrainz_track_id: Some(track.id.to_string()),
        musicbrainz_release_id: Some(release.release.to_string()),
        musicbrainz_release_group_id: release.group.map(|group| group.to_string()),
        musicbrainz_artist_ids: track.credit.artists.iter().map(ToString::to_string).collect(),
        musicbrainz_album_artist_ids: release
            .credit
            .artists
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}
