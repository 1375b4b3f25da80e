//! First bytes of files: `audio::sniff`. What is called audio lies within the file.
#![no_main]

use std::io::Cursor;

use audio::{Sniffed, sniff};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let sniffed = sniff(&mut Cursor::new(file)).expect("memory is readable");
    if let Sniffed::Audio(_, range) = sniffed {
        assert!(range.start <= range.end && range.end <= file.len() as u64);
    }
});
