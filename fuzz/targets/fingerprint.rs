//! Packed fingerprints: `audio::decompress`. What unpacks is packed and unpacked to the same; and
//! any items survive the way through text.
#![no_main]

use audio::{MAX_ITEMS, compress, decompress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(items) = decompress(&text) {
        assert!(items.len() <= MAX_ITEMS);
        assert_eq!(decompress(&compress(&items)), Ok(items));
    }
    let items: Vec<u32> = data.as_chunks().0.iter().map(|item| u32::from_le_bytes(*item)).collect();
    assert_eq!(decompress(&compress(&items)), Ok(items));
});
