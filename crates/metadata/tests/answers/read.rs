//! Reading answers, known parts and unknown.

use domain::Target;
use domain::observation::LookupFault;
use metadata::musicbrainz::describe::{Described, IgnoreReason, describe};
use serde_json::Value;

use crate::service::{fixture, mbid};

fn read(name: &str) -> Described {
    describe(&fixture(&format!("musicbrainz/{name}.json"))).unwrap()
}

/// The two-media release with one of its values replaced.
fn changed(pointer: &str, value: Value) -> Result<Described, LookupFault> {
    let mut json: Value = serde_json::from_slice(&fixture("musicbrainz/two-media.json")).unwrap();
    *json.pointer_mut(pointer).unwrap() = value;
    describe(json.to_string().as_bytes())
}

#[test]
fn a_release_is_read_with_all_it_tells() {
    let Target { release, group, title, credit, date, country, label, barcode, media, tracks } =
        read("two-media").target;
    assert_eq!((release, group), (mbid(0x1001), Some(mbid(0x2001))));
    assert_eq!(
        (title.as_str(), credit.name.as_str()),
        ("Low Water, High Windows", "Harbour Lights")
    );
    assert_eq!(credit.artists, [mbid(0xa1)]);
    assert_eq!((date.as_str(), country.as_str(), label.as_str()), ("1998-04-20", "GB", "Quayside"));
    assert_eq!((barcode.as_str(), media), ("0000000000017", 2));

    let places: Vec<_> = tracks.iter().map(|track| (track.medium, track.position)).collect();
    assert_eq!(places, [(1, 1), (1, 2), (1, 3), (2, 2)]);
    assert_eq!((tracks[0].id, tracks[0].recording), (mbid(0x3001), mbid(0x4001)));
    assert_eq!(tracks[0].isrcs, ["GBXXX9800001"]);
}

#[test]
fn a_length_is_the_tracks_own_then_the_recordings_then_unknown() {
    let lengths: Vec<_> =
        read("two-media").target.tracks.iter().map(|track| track.duration_ms).collect();
    assert_eq!(lengths, [Some(183_240), Some(241_500), None, Some(600_000)]);
}

#[test]
fn names_are_joined_by_the_releases_own_phrases() {
    let credit = &read("two-media").target.tracks[1].credit;
    assert_eq!(credit.name, "Harbour Lights feat. M. Okafor & The Tin Choir");
    assert_eq!(credit.artists, [mbid(0xa1), mbid(0xa2), mbid(0xa3)]);
}

#[test]
fn what_is_not_sought_is_told_with_its_reason() {
    let ignored: Vec<_> = read("two-media")
        .ignored
        .into_iter()
        .map(|one| (one.medium, one.position, one.title, one.reason))
        .collect();
    assert_eq!(
        ignored,
        [
            (1, 0, "Before the Tide".to_owned(), IgnoreReason::Pregap),
            (1, 4, "[data track]".to_owned(), IgnoreReason::Data),
            (2, 1, "Slack Water (live)".to_owned(), IgnoreReason::Video),
        ]
    );
}

#[test]
fn a_track_at_position_zero_is_a_pregap_too() {
    let described = changed("/media/0/tracks/0/position", 0.into()).unwrap();
    assert_eq!(described.target.tracks.len(), 3);
    assert_eq!(
        (described.ignored[1].position, described.ignored[1].reason),
        (0, IgnoreReason::Pregap)
    );
}

#[test]
fn what_is_unknown_is_left_empty() {
    let target = read("sparse").target;
    assert_eq!((target.group, target.credit.name.as_str()), (None, ""));
    assert_eq!(
        (target.date.as_str(), target.country.as_str(), target.barcode.as_str()),
        ("", "", "")
    );
    let tracks: Vec<_> = target
        .tracks
        .iter()
        .map(|track| (track.medium, track.position, track.title.as_str(), track.duration_ms))
        .collect();
    assert_eq!(tracks, [(1, 1, "Side One", None), (1, 2, "[untitled]", None)]);
}

#[test]
fn a_medium_without_known_tracks_adds_none() {
    let target = read("empty-medium").target;
    assert_eq!((target.media, target.tracks.len()), (2, 1));
}

#[test]
fn an_identity_that_is_missing_is_named() {
    for (pointer, value, words) in [
        ("/id", Value::Null, "the release has no ID"),
        ("/media/0/tracks/1/recording/id", Value::Null, "the recording of track 1-2 has no ID"),
        ("/media/0/tracks/1/recording", Value::Null, "the recording of track 1-2 has no ID"),
        ("/media/0/tracks/2/id", Value::Null, "the listing of track 1-3 has no ID"),
        ("/media", Value::Null, "no media, not even an empty list"),
        ("/media/1/tracks", Value::Null, "medium 2 has 2 tracks and lists none"),
    ] {
        assert_eq!(changed(pointer, value).unwrap_err(), LookupFault::Malformed(words.into()));
    }
    let fault = changed("/media/0/tracks/0/recording/id", "seven".into()).unwrap_err();
    assert!(
        fault.to_string().contains("the recording of track 1-1: \"seven\" is not a MusicBrainz ID")
    );
}

#[test]
fn dates_come_in_three_lengths() {
    for (date, kept) in [
        ("1998", "1998"),
        ("1998-04", "1998-04"),
        ("1998-04-20", "1998-04-20"),
        ("????-04-20", ""),
        ("1998-", ""),
        ("1998-04-20-1", ""),
        ("98", ""),
        ("", ""),
    ] {
        assert_eq!(changed("/date", date.into()).unwrap().target.date, kept, "{date}");
    }
}
