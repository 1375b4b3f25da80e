//! Real files of each format, tagged and read back.

use lofty::id3::v2::Id3v2Tag;
use lofty::picture::{MimeType, Picture, PictureType};
use lofty::tag::TagExt;

use super::*;
use crate::examine;
use crate::specimen::{OnDisk, aiff, flac, m4a, mp3, on_disk, tune, vorbis, wav};

fn full() -> Tags {
    let text = |text: &str| Some(text.to_owned());
    Tags {
        title: text("Blåtimen"),
        artist: text("Ada feat. Grace"),
        album: text("First Light"),
        album_artist: text("Ada"),
        track_number: Some(3),
        track_total: Some(10),
        disc_number: Some(1),
        disc_total: Some(2),
        date: text("2024-05-17"),
        isrc: text("NOX002400003"),
        acoustid_id: text("0a1b2c3d-0000-4000-8000-000000000001"),
        musicbrainz_recording_id: text("0a1b2c3d-0000-4000-8000-000000000002"),
        musicbrainz_track_id: text("0a1b2c3d-0000-4000-8000-000000000003"),
        musicbrainz_release_id: text("0a1b2c3d-0000-4000-8000-000000000004"),
        musicbrainz_release_group_id: text("0a1b2c3d-0000-4000-8000-000000000005"),
        musicbrainz_artist_ids: vec![
            "0a1b2c3d-0000-4000-8000-000000000006".to_owned(),
            "0a1b2c3d-0000-4000-8000-000000000007".to_owned(),
        ],
        musicbrainz_album_artist_ids: vec!["0a1b2c3d-0000-4000-8000-000000000006".to_owned()],
    }
}

fn specimens() -> [(&'static str, OnDisk); 6] {
    let samples = tune(20, 5);
    [
        ("flac", on_disk(&flac(&samples))),
        ("vorbis", on_disk(&vorbis(&samples))),
        ("wav", on_disk(&wav(&samples))),
        ("aiff", on_disk(&aiff(&samples))),
        ("m4a", on_disk(&m4a(&samples))),
        ("mp3", on_disk(&mp3(20, 200))),
    ]
}

fn holds(file: &OnDisk, bytes: &[u8]) -> bool {
    fs::read(&file.path).unwrap().windows(bytes.len()).any(|window| window == bytes)
}

#[test]
fn tags_come_back_and_the_audio_stays() {
    for (name, file) in specimens() {
        let before = examine(&file.path).unwrap();
        assert_eq!(read_tags(&file.path).unwrap(), Tags::default(), "{name}");
        write_tags(&file.path, &full()).unwrap();
        assert_eq!(read_tags(&file.path).unwrap(), full(), "{name}");
        assert_eq!(examine(&file.path).unwrap(), before, "{name}");
    }
}

#[test]
fn writing_twice_changes_nothing_and_leaves_nothing_behind() {
    for (name, file) in specimens() {
        write_tags(&file.path, &full()).unwrap();
        let once = fs::read(&file.path).unwrap();
        write_tags(&file.path, &full()).unwrap();
        assert_eq!(fs::read(&file.path).unwrap(), once, "{name}");
        // And writing them anew over others, rather than skipping, gives the same bytes.
        write_tags(&file.path, &Tags { title: Some("another".to_owned()), ..Tags::default() })
            .unwrap();
        write_tags(&file.path, &full()).unwrap();
        assert_eq!(read_tags(&file.path).unwrap(), full(), "{name}");
        let folder = file.path.parent().unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn other_tags_are_kept() {
    for (name, file) in specimens() {
        let mut parsed = parse(&mut File::open(&file.path).unwrap()).unwrap();
        let mut tag = Tag::new(parsed.primary_tag_type());
        tag.insert_text(ItemKey::Comment, "bought in Oslo".to_owned());
        tag.insert_text(ItemKey::Composer, "Grace".to_owned());
        tag.insert_text(ItemKey::TrackTitle, "untitled".to_owned());
        parsed.insert_tag(tag);
        parsed.save_to_path(&file.path, WriteOptions::default()).unwrap();
        write_tags(&file.path, &full()).unwrap();
        let parsed = parse(&mut File::open(&file.path).unwrap()).unwrap();
        let tag = parsed.primary_tag().unwrap();
        assert_eq!(tag.get_string(ItemKey::Comment), Some("bought in Oslo"), "{name}");
        assert_eq!(tag.get_string(ItemKey::Composer), Some("Grace"), "{name}");
        assert_eq!(tag.get_string(ItemKey::TrackTitle), Some("Blåtimen"), "{name}");
    }
}

#[test]
fn what_has_no_common_name_is_kept_too() {
    let mut comments = VorbisComments::new();
    comments.push("SHELF".to_owned(), "seven".to_owned());
    comments.push("SHELF".to_owned(), "eight".to_owned());
    let picture = Picture::unchecked(vec![0xFF, 0xD8, 0xFF, 0xE0, 1, 2, 3, 4])
        .pic_type(PictureType::CoverFront)
        .mime_type(MimeType::Jpeg)
        .build();
    let mut id3 = Id3v2Tag::new();
    id3.insert_user_text("Shelf".to_owned(), "seven".to_owned());
    id3.insert_picture(picture.clone());
    let [flac, vorbis, _, _, _, mp3] = specimens().map(|(_, file)| file);
    comments.save_to_path(&vorbis.path, WriteOptions::default()).unwrap();
    comments.insert_picture(picture, None).unwrap();
    comments.save_to_path(&flac.path, WriteOptions::default()).unwrap();
    id3.save_to_path(&mp3.path, WriteOptions::default()).unwrap();
    for file in [&flac, &vorbis, &mp3] {
        write_tags(&file.path, &full()).unwrap();
        assert_eq!(read_tags(&file.path).unwrap(), full());
    }
    for file in [&flac, &vorbis] {
        assert!(holds(file, b"SHELF=seven") && holds(file, b"SHELF=eight"));
    }
    assert!(holds(&mp3, b"Shelf\0seven"));
    for file in [&flac, &mp3] {
        assert!(holds(file, &[0xFF, 0xD8, 0xFF, 0xE0, 1, 2, 3, 4]));
    }
}

#[test]
fn names_on_disk_are_those_of_picard() {
    let [flac, vorbis, _, aiff, m4a, mp3] = specimens().map(|(_, file)| file);
    for file in [&flac, &vorbis, &aiff, &m4a, &mp3] {
        write_tags(&file.path, &full()).unwrap();
    }
    for file in [&flac, &vorbis] {
        for comment in [
            "TITLE=Blåtimen",
            "ALBUMARTIST=Ada",
            "TRACKNUMBER=3",
            "TRACKTOTAL=10",
            "DISCNUMBER=1",
            "DISCTOTAL=2",
            "DATE=2024-05-17",
            "ISRC=NOX002400003",
            "ACOUSTID_ID=0a1b2c3d-0000-4000-8000-000000000001",
            "MUSICBRAINZ_TRACKID=0a1b2c3d-0000-4000-8000-000000000002",
            "MUSICBRAINZ_RELEASETRACKID=0a1b2c3d-0000-4000-8000-000000000003",
            "MUSICBRAINZ_ALBUMID=0a1b2c3d-0000-4000-8000-000000000004",
            "MUSICBRAINZ_RELEASEGROUPID=0a1b2c3d-0000-4000-8000-000000000005",
            "MUSICBRAINZ_ARTISTID=0a1b2c3d-0000-4000-8000-000000000006",
            "MUSICBRAINZ_ARTISTID=0a1b2c3d-0000-4000-8000-000000000007",
            "MUSICBRAINZ_ALBUMARTISTID=0a1b2c3d-0000-4000-8000-000000000006",
        ] {
            assert!(holds(file, comment.as_bytes()), "{comment}");
        }
    }
    for frame in [
        "http://musicbrainz.org\x000a1b2c3d-0000-4000-8000-000000000002",
        "MusicBrainz Release Track Id\x000a1b2c3d-0000-4000-8000-000000000003",
        "MusicBrainz Album Id\x000a1b2c3d-0000-4000-8000-000000000004",
        "MusicBrainz Release Group Id\x000a1b2c3d-0000-4000-8000-000000000005",
        "MusicBrainz Artist Id\x000a1b2c3d-0000-4000-8000-000000000006\x000a1b2c3d-0000-4000-8000-000000000007",
        "MusicBrainz Album Artist Id\x000a1b2c3d-0000-4000-8000-000000000006",
        "Acoustid Id\x000a1b2c3d-0000-4000-8000-000000000001",
    ] {
        assert!(holds(&aiff, frame.as_bytes()) && holds(&mp3, frame.as_bytes()), "{frame}");
    }
    for frame in ["UFID", "TSRC", "TRCK", "TPOS", "TDRC", "TPE2"] {
        assert!(holds(&aiff, frame.as_bytes()) && holds(&mp3, frame.as_bytes()), "{frame}");
    }
    for name in [
        "MusicBrainz Track Id",
        "MusicBrainz Release Track Id",
        "MusicBrainz Album Id",
        "MusicBrainz Release Group Id",
        "MusicBrainz Artist Id",
        "MusicBrainz Album Artist Id",
        "Acoustid Id",
        "ISRC",
    ] {
        let name = [&[0; 4], name.as_bytes()].concat();
        assert!(holds(&m4a, &[b"name", &name[..]].concat()), "{name:?}");
    }
    for name in [&b"\xA9nam"[..], b"\xA9ART", b"\xA9alb", b"aART", b"\xA9day", b"trkn", b"disk"] {
        assert!(holds(&m4a, name), "{name:?}");
    }
}

#[test]
fn what_is_no_audio_takes_no_tags() {
    let file = on_disk(b"<html>404</html>");
    assert!(write_tags(&file.path, &full()).is_err());
    assert_eq!(fs::read(&file.path).unwrap(), b"<html>404</html>");
}
