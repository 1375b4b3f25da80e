//! Whole files, from the first byte to the fingerprint: `audio::examine` with the demuxers and
//! decoders behind it. What is taken for music has a length, a fingerprint and a shape that music
//! has.
#![no_main]

use std::path::PathBuf;

use audio::examine;
use libfuzzer_sys::fuzz_target;
use reprise_fuzz::repair_pages;

fuzz_target!(|data: &[u8]| {
    let mut file = data.to_vec();
    if file.starts_with(b"OggS") {
        repair_pages(&mut file);
    }
    let path: PathBuf = std::env::temp_dir().join(format!("reprise-fuzz-{}", std::process::id()));
    std::fs::write(&path, file).expect("room for a small file");
    let examined = examine(&path);
    std::fs::remove_file(&path).expect("it was written above");
    let Ok(examined) = examined else { return };
    assert!(!examined.fingerprint.is_empty() && examined.duration_ms > 0);
    assert!((1..=24).contains(&examined.channels));
    assert!((4_000..=768_000).contains(&examined.sample_rate_hz));
});
