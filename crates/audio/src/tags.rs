//! Reads and writes the tags by which a library names its files, under the names MusicBrainz Picard
//! uses, so that every player and tagger finds them. Other tags in a file stay as they are, and its
//! audio is not touched. What to write is decided by whoever recognised the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use lofty::config::{ParseOptions, WriteOptions};
use lofty::error::{FileEncodingError, FileParseError};
use lofty::file::{AudioFile, FileType, TaggedFile, TaggedFileExt};
use lofty::flac::FlacFile;
use lofty::ogg::tag::VorbisComments;
use lofty::ogg::{OggPictureStorage, VorbisFile};
use lofty::probe::Probe;
use lofty::tag::{ItemKey, ItemValue, MergeTag, SplitTag, Tag, TagItem};

/// The tags we read and write. Nothing, or an empty list, leaves what a file has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    /// Title of the track.
    pub title: Option<String>,
    /// Artist of the track, as credited.
    pub artist: Option<String>,
    /// Title of the release.
    pub album: Option<String>,
    /// Artist of the release, as credited.
    pub album_artist: Option<String>,
    /// Place of the track on its medium, from 1.
    pub track_number: Option<u32>,
    /// Number of tracks on the medium.
    pub track_total: Option<u32>,
    /// Place of the medium in the release, from 1.
    pub disc_number: Option<u32>,
    /// Number of media in the release.
    pub disc_total: Option<u32>,
    /// Release date as `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub date: Option<String>,
    /// International Standard Recording Code, twelve characters.
    pub isrc: Option<String>,
    /// AcoustID, a UUID.
    pub acoustid_id: Option<String>,
    /// MusicBrainz id of the recording.
    pub musicbrainz_recording_id: Option<String>,
    /// MusicBrainz id of the track, that is of the recording's place on this release.
    pub musicbrainz_track_id: Option<String>,
    /// MusicBrainz id of the release.
    pub musicbrainz_release_id: Option<String>,
    /// MusicBrainz id of the release group.
    pub musicbrainz_release_group_id: Option<String>,
    /// MusicBrainz ids of the track's artists, in the order of the credit.
    pub musicbrainz_artist_ids: Vec<String>,
    /// MusicBrainz ids of the release's artists, in the order of the credit.
    pub musicbrainz_album_artist_ids: Vec<String>,
}

/// Why tags could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The file is of no format that has tags, or it or its tags are broken.
    #[error("cannot parse the file or its tags")]
    Malformed(#[source] FileParseError),
    /// The format has no place for tags of this kind.
    #[error("cannot put tags into this format")]
    Unwritable(#[source] FileEncodingError),
    /// The file could not be read or replaced.
    #[error("cannot read or replace the file")]
    Io(#[from] io::Error),
}

/// Reads the tags of the file at `path`; nothing where it has none.
///
/// # Errors
/// When the file cannot be read or is of no known format.
pub fn read_tags(path: &Path) -> Result<Tags, TagError> {
    let parsed = parse(&mut File::open(path)?)?;
    Ok(parsed.primary_tag().map(from_tag).unwrap_or_default())
}

/// Writes `tags` into the file at `path` in the format's own kind of tag.
///
/// The work is done on a copy beside the file, which then takes its place, so that at no time is a
/// half-written file under its name. A file that has these tags already is left alone.
///
/// # Errors
/// When the file cannot be read, is of no known format, or the copy cannot be written. The file is
/// then as it was.
pub fn write_tags(path: &Path, tags: &Tags) -> Result<(), TagError> {
    let mut parsed = parse(&mut File::open(path)?)?;
    let kind = parsed.primary_tag_type();
    if parsed.primary_tag().is_none() {
        parsed.insert_tag(Tag::new(kind));
    }
    let Some(tag) = parsed.primary_tag_mut() else {
        return Err(io::Error::from(io::ErrorKind::Unsupported).into());
    };
    let before = from_tag(tag);
    into_tag(tags, tag);
    if from_tag(tag) == before {
        return Ok(());
    }
    let beside = beside(path);
    let written = write_copy(path, &beside, &parsed, tags);
    if written.is_err() {
        // The copy is of no use; that it cannot be removed would be a smaller trouble than the first.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn parse(file: &mut File) -> Result<TaggedFile, TagError> {
    file.rewind()?;
    Probe::new(io::BufReader::new(file))
        .options(ParseOptions::new().read_properties(false))
        .guess_file_type()?
        .read()
        .map_err(TagError::Malformed)
}

fn write_copy(
    path: &Path,
    beside: &Path,
    parsed: &TaggedFile,
    tags: &Tags,
) -> Result<(), TagError> {
    fs::copy(path, beside)?;
    let mut copy = OpenOptions::new().read(true).write(true).open(beside)?;
    let parsing = ParseOptions::new().read_properties(false);
    // Where the tag is of Vorbis comments, writing it in its general form would lose the comments
    // that have no general name.
    let written = match parsed.file_type() {
        FileType::Flac => {
            let mut flac = FlacFile::read_from(&mut copy, parsing).map_err(TagError::Malformed)?;
            let comments = flac.remove_vorbis_comments().unwrap_or_default();
            flac.set_vorbis_comments(into_comments(tags, comments));
            copy.rewind()?;
            flac.save_to(&mut copy, WriteOptions::default())
        }
        FileType::Vorbis => {
            let mut vorbis =
                VorbisFile::read_from(&mut copy, parsing).map_err(TagError::Malformed)?;
            let comments = std::mem::take(vorbis.vorbis_comments_mut());
            vorbis.set_vorbis_comments(into_comments(tags, comments));
            copy.rewind()?;
            vorbis.save_to(&mut copy, WriteOptions::default())
        }
        _ => parsed.save_to(&mut copy, WriteOptions::default()),
    };
    written.map_err(TagError::Unwritable)?;
    copy.sync_all()?;
    fs::rename(beside, path)?;
    Ok(())
}

fn into_comments(tags: &Tags, comments: VorbisComments) -> VorbisComments {
    // Pictures go around the general form too, which drops those it cannot take the size of.
    let pictures = comments.pictures().to_vec();
    let (unnamed, mut tag) = comments.split_tag();
    while tag.picture_count() > 0 {
        tag.remove_picture(0);
    }
    into_tag(tags, &mut tag);
    let mut comments = unnamed.merge_tag(tag);
    for (picture, information) in pictures {
        // With its size given, a picture is put in without being looked at, which cannot fail.
        let _ = comments.insert_picture(picture, Some(information));
    }
    comments
}

/// The name of the copy: in the same folder, so that a rename can put it in place.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tagging");
    path.with_file_name(name)
}

fn from_tag(tag: &Tag) -> Tags {
    let text = |key| tag.get_string(key).map(str::to_owned);
    let number = |key| tag.get_string(key).and_then(|text| text.trim().parse().ok());
    let list = |key| tag.get_strings(key).map(str::to_owned).collect();
    Tags {
        title: text(ItemKey::TrackTitle),
        artist: text(ItemKey::TrackArtist),
        album: text(ItemKey::AlbumTitle),
        album_artist: text(ItemKey::AlbumArtist),
        track_number: number(ItemKey::TrackNumber),
        track_total: number(ItemKey::TrackTotal),
        disc_number: number(ItemKey::DiscNumber),
        disc_total: number(ItemKey::DiscTotal),
        date: text(ItemKey::RecordingDate),
        isrc: text(ItemKey::Isrc),
        acoustid_id: text(ItemKey::AcoustId),
        musicbrainz_recording_id: text(ItemKey::MusicBrainzRecordingId),
        musicbrainz_track_id: text(ItemKey::MusicBrainzTrackId),
        musicbrainz_release_id: text(ItemKey::MusicBrainzReleaseId),
        musicbrainz_release_group_id: text(ItemKey::MusicBrainzReleaseGroupId),
        musicbrainz_artist_ids: list(ItemKey::MusicBrainzArtistId),
        musicbrainz_album_artist_ids: list(ItemKey::MusicBrainzReleaseArtistId),
    }
}

fn into_tag(tags: &Tags, tag: &mut Tag) {
    let texts = [
        (ItemKey::TrackTitle, &tags.title),
        (ItemKey::TrackArtist, &tags.artist),
        (ItemKey::AlbumTitle, &tags.album),
        (ItemKey::AlbumArtist, &tags.album_artist),
        (ItemKey::RecordingDate, &tags.date),
        (ItemKey::Isrc, &tags.isrc),
        (ItemKey::AcoustId, &tags.acoustid_id),
        (ItemKey::MusicBrainzRecordingId, &tags.musicbrainz_recording_id),
        (ItemKey::MusicBrainzTrackId, &tags.musicbrainz_track_id),
        (ItemKey::MusicBrainzReleaseId, &tags.musicbrainz_release_id),
        (ItemKey::MusicBrainzReleaseGroupId, &tags.musicbrainz_release_group_id),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            tag.insert_text(key, text.clone());
        }
    }
    let numbers = [
        (ItemKey::TrackNumber, tags.track_number),
        (ItemKey::TrackTotal, tags.track_total),
        (ItemKey::DiscNumber, tags.disc_number),
        (ItemKey::DiscTotal, tags.disc_total),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            tag.insert_text(key, number.to_string());
        }
    }
    let lists = [
        (ItemKey::MusicBrainzArtistId, &tags.musicbrainz_artist_ids),
        (ItemKey::MusicBrainzReleaseArtistId, &tags.musicbrainz_album_artist_ids),
    ];
    for (key, ids) in lists {
        if ids.is_empty() {
            continue;
        }
        tag.remove_key(key);
        for id in ids {
            tag.push(TagItem::new(key, ItemValue::Text(id.clone())));
        }
    }
}

#[cfg(test)]
mod tests;
