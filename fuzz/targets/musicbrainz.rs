//! MusicBrainz' JSON of a release: `metadata::musicbrainz::describe`. What was read has as many
//! media as it says, tracks numbered from 1, a date that is one or none, and paths inside the
//! library.
#![no_main]

use domain::library_path;
use libfuzzer_sys::fuzz_target;
use metadata::musicbrainz::describe::describe;

fuzz_target!(|json: &[u8]| {
    let Ok(described) = describe(json) else { return };
    let target = described.target;
    assert!(target.date.is_empty() || target.year().is_some());
    assert!(!target.title.is_empty());
    for track in &target.tracks {
        assert!(track.position > 0 && !track.title.is_empty());
        assert_ne!(track.duration_ms, Some(0));
        assert_eq!(library_path::of(&target, track, "flac").split('/').count(), 3);
    }
});
