//! Pasted links: `domain::reference`. What is taken for a release is written out in the text.
#![no_main]

use domain::reference::parse_release;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(release) = parse_release(text) {
        let id = release.to_string();
        assert!(text.to_ascii_lowercase().contains(&id));
        assert_eq!(parse_release(&id), Ok(release));
        assert_eq!(parse_release(&format!("https://musicbrainz.org/release/{id}")), Ok(release));
    }
});
