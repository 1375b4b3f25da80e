//! Pages of Ogg and codebooks of Vorbis: `audio`'s modules `ogg` and `vorbis`. Looked at as they
//! came, and with the pages' checksums put right. The stream ends within the file, a walk of it
//! alone ends there too, and its setup header is of a size.
#![no_main]

use audio::fuzzing::{has_sound_codebooks, walk};
use libfuzzer_sys::fuzz_target;
use reprise_fuzz::repair_pages;

fuzz_target!(|file: &[u8]| {
    has_sound_codebooks(&[b"\x05vorbis", file].concat());
    check(file);
    let mut repaired = file.to_vec();
    repair_pages(&mut repaired);
    check(&repaired);
});

fn check(file: &[u8]) {
    let (end, setup) = walk(file);
    assert!(end <= file.len() as u64 && setup.len() <= 256 * 1024);
    assert_eq!(walk(&file[..end as usize]), (end, setup.clone()));
    has_sound_codebooks(&setup);
}
