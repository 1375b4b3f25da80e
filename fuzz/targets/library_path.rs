//! Paths in the library, made from MusicBrainz' words: `domain::library_path`. Two bytes for medium
//! and position, then texts: artist, title, date, track. Whatever the words, the path has three
//! parts, none of them leads anywhere else, and every file system takes each.
#![no_main]

use domain::id::TrackId;
use domain::target::Credit;
use domain::{RecordingId, ReleaseId, Target, Track, library_path};
use libfuzzer_sys::fuzz_target;
use reprise_fuzz::texts;

fuzz_target!(|data: &[u8]| {
    let Some(([medium, position], words)) = data.split_first_chunk() else { return };
    let mut texts = texts(words);
    let mut next = || texts.next().unwrap_or_default();
    let credit = Credit { name: next(), artists: Vec::new() };
    let (title, date) = (next(), next());
    let track = Track {
        id: TrackId([0; 16]),
        recording: RecordingId([0; 16]),
        medium: (*medium).into(),
        position: (*position).into(),
        title: next(),
        credit: credit.clone(),
        duration_ms: None,
        isrcs: Vec::new(),
    };
    let target = Target {
        release: ReleaseId([0; 16]),
        group: None,
        title,
        credit,
        date,
        country: String::new(),
        label: String::new(),
        barcode: String::new(),
        media: track.medium,
        tracks: vec![track.clone()],
    };
    let path = library_path::of(&target, &track, "flac");
    let parts: Vec<&str> = path.split('/').collect();
    assert_eq!(parts.len(), 3, "{path:?}");
    for part in parts {
        assert!(!part.is_empty() && part.len() <= 200, "{path:?}");
        assert!(!part.starts_with(['.', ' ']) && !part.ends_with(['.', ' ']), "{path:?}");
        let forbidden = |c: char| c.is_control() || "\\:*?\"<>|".contains(c);
        assert!(!part.contains(forbidden), "{path:?}");
    }
});
