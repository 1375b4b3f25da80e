//! Puts a verified file into the library: tags a copy, then gives it its place. Never overwrites
//! another file, and leaves either nothing or the whole file, whenever the process dies.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use audio::{TagError, write_tags};
use domain::TrackKey;
use domain::chunk::Digest;
use domain::effect::Tags;
use domain::observation::{DiskFault, Observation, PublishFault};

use super::{Tools, blocking};
use crate::staging;

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
        let failed = |fault| Observation::PublishFailed { track, attempt, fault };
        let size = match staging.digest(track, attempt) {
            Ok(Some((found, size))) if found == digest => size,
            Ok(_) => {
                let detail = "the verified file is not in staging".into();
                return Observation::StagingLost { track, attempt, detail };
            }
            Err(error) => return failed(disk(&error)),
        };
        let staged = Staged { path: staging.path(track, attempt), size, track, attempt };
        match place(&staged, &music, &path, &tags) {
            Ok((path, size, digest)) => {
                Observation::FilePublished { track, attempt, path, size, digest }
            }
            Err(fault) => failed(fault),
        }
    })
    .await
}

/// The verified file where it is now.
struct Staged {
    path: PathBuf,
    size: u64,
    track: TrackKey,
    attempt: u16,
}

fn place(
    staged: &Staged,
    music: &Path,
    path: &str,
    tags: &Tags,
) -> Result<(String, u64, Digest), PublishFault> {
    let disk = |error: io::Error| disk(&error);
    let wanted = music.join(path);
    let folder = wanted.parent().unwrap_or(music);
    fs::create_dir_all(folder).map_err(disk)?;
    // The copy, and the copy of it that its tags are written into.
    staging::room(folder, staged.size.saturating_mul(2)).map_err(PublishFault::Disk)?;
    let copy = Copy(folder.join(staged.copy_name(&wanted)));
    copy.fill(&staged.path).map_err(disk)?;
    write_tags(&copy.0, &picard(tags)).map_err(untagged)?;
    fs::File::open(&copy.0).and_then(|file| file.sync_all()).map_err(disk)?;
    let (digest, size) = staging::digest(&copy.0).map_err(disk)?;
    for number in 1..=NAMESAKES {
        let (path, place) = namesake(path, &wanted, number);
        if copy.take(&place).map_err(disk)? {
            fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk)?;
            return Ok((path, size, digest));
        }
        // It is ours when it was published before a crash could be recorded. What cannot be read was
        // not written by us.
        if staging::digest(&place).is_ok_and(|(found, _)| found == digest) {
            return Ok((path, size, digest));
        }
    }
    let full = format!("{NAMESAKES} other files have the name {path}");
    Err(PublishFault::Disk(DiskFault::Other(full)))
}

fn disk(error: &io::Error) -> PublishFault {
    PublishFault::Disk(staging::fault(error))
}

/// Whether the file cannot be tagged, or our disk cannot.
fn untagged(error: TagError) -> PublishFault {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        match inner.downcast_ref::<io::Error>() {
            // These are said of content: it ends too early, makes no sense, or has no place for tags.
            Some(said) => match said.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::Unsupported
                | io::ErrorKind::Other => break,
                _ => return disk(said),
            },
            None => cause = inner.source(),
        }
    }
    PublishFault::Untaggable(chain(&error))
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

impl Staged {
    /// Hidden, and no other attempt's.
    fn copy_name(&self, wanted: &Path) -> String {
        let Self { track, attempt, .. } = self;
        let ending = wanted.extension().and_then(|ending| ending.to_str()).unwrap_or("part");
        format!(".reprise-{}-{}-{attempt}.{ending}", track.job, track.index + 1)
    }
}

/// A file beside its place, so that giving it the place is one step of the file system. Deleted when
/// dropped.
struct Copy(PathBuf);

impl Copy {
    fn fill(&self, from: &Path) -> io::Result<()> {
        // After a crash this may be another name of a published file, which must not be written into.
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::copy(from, &self.0).map(drop)
    }

    /// Takes a place; false when something has it.
    fn take(&self, place: &Path) -> io::Result<bool> {
        match fs::hard_link(&self.0, place) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) if knows_no_links(&error) => self.move_to(place),
            Err(error) => Err(error),
        }
    }

    /// Takes a place where there are no hard links: somebody may take it between the look and the
    /// move, which a link would have noticed.
    fn move_to(&self, place: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(place) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(&self.0, place).map(|()| true)
            }
            Err(error) => Err(error),
        }
    }
}

/// FAT and exFAT, some network file systems and some sandboxes have no hard links, and say so in one
/// of these ways.
fn knows_no_links(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::Unsupported
            | io::ErrorKind::CrossesDevices
    )
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn chain(error: &dyn Error) -> String {
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
