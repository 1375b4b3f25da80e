//! Chromaprints: made from samples as they stream past, and packed into the text that AcoustID
//! exchanges and back. Which parameters make two of them comparable is decided here; how alike
//! they are is [`crate::compare()`]'s business.

use rusty_chromaprint::{Configuration, FingerprintCompressor, Fingerprinter};

/// Length of audio a fingerprint covers, from the start of the file, as `fpcalc` does.
pub const FINGERPRINTED_SECONDS: u32 = 120;

/// Most items a packed fingerprint may have: more than two hours of audio.
pub const MAX_ITEMS: usize = 65_536;

/// Chromaprint's name for the algorithm all of AcoustID uses, its second.
const ALGORITHM: u8 = 1;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Makes one fingerprint. There is no way to use one twice: the crate keeps samples of the file
/// before in its buffers, and the second fingerprint comes out wrong.
pub(crate) struct Listener {
    fingerprinter: Fingerprinter,
    channels: usize,
    /// Frames still to be heard.
    left: usize,
    samples: Vec<i16>,
}

impl Listener {
    /// Prepares to hear audio of this shape; nothing when it cannot be resampled.
    pub(crate) fn new(sample_rate_hz: u32, channels: usize) -> Option<Self> {
        let mut fingerprinter = Fingerprinter::new(&Configuration::preset_test2());
        fingerprinter.start(sample_rate_hz, u32::try_from(channels).ok()?).ok()?;
        let left = sample_rate_hz as usize * FINGERPRINTED_SECONDS as usize;
        Some(Self { fingerprinter, channels, left, samples: Vec::new() })
    }

    /// Hears whole frames of interleaved samples, scaled to 32 bits.
    pub(crate) fn hear(&mut self, samples: &[i32]) {
        let frames = (samples.len() / self.channels).min(self.left);
        self.left -= frames;
        self.samples.clear();
        let rounded = |sample: &i32| (sample.saturating_add(0x8000) >> 16) as i16;
        self.samples.extend(samples[..frames * self.channels].iter().map(rounded));
        self.fingerprinter.consume(&self.samples);
    }

    /// The fingerprint of what was heard; empty for less than about three seconds.
    pub(crate) fn finish(mut self) -> Vec<u32> {
        self.fingerprinter.finish();
        self.fingerprinter.fingerprint().to_vec()
    }
}

/// Why a text is not a packed fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecompressError {
    /// A character that URL-safe base64 does not have, or a length it cannot have.
    #[error("not url-safe base64")]
    NotBase64,
    /// Fewer bytes than the header or the number of items asks for.
    #[error("fingerprint ends early")]
    Short,
    /// Bytes are left over.
    #[error("fingerprint has bytes behind its end")]
    Long,
    /// Made by an algorithm whose items mean something else.
    #[error("fingerprint of algorithm {0}, not {ALGORITHM}")]
    Algorithm(u8),
    /// More items than [`MAX_ITEMS`].
    #[error("fingerprint of {0} items, more than {MAX_ITEMS}")]
    TooMany(usize),
    /// A bit beyond the 32 of an item.
    #[error("fingerprint sets bit {0} of 32")]
    Bit(u32),
}

/// Packs a fingerprint into AcoustID's text form: URL-safe base64 without padding.
///
/// # Panics
/// When there are more than [`MAX_ITEMS`], which [`examine`](crate::examine()) never makes.
#[must_use]
pub fn compress(fingerprint: &[u32]) -> String {
    assert!(fingerprint.len() <= MAX_ITEMS, "a fingerprint covers two minutes, not hours");
    let configuration = Configuration::preset_test2();
    to_base64(&FingerprintCompressor::from(&configuration).compress(fingerprint))
}

/// Unpacks AcoustID's text form of a fingerprint.
///
/// Four bytes of header (algorithm, number of items as 24 bits, big-endian) are followed by an array
/// of 3-bit and one of 5-bit numbers, each filled from the lowest bit and padded to a byte. An item is
/// XORed with the one before; the places of the bits left in it, counted from 1, are written as gaps
/// in the first array, with a 0 to end the item. A gap of 7 or more is a 7 there, and what exceeds
/// 7 in the second array (chromaprint `fingerprint_compressor.cpp`).
///
/// # Errors
/// Whenever the text is not exactly what [`compress`] would give for some fingerprint, but for the
/// value of padding bits.
pub fn decompress(text: &str) -> Result<Vec<u32>, DecompressError> {
    // No item takes less than 3 bits nor, with 32 bits set, more than 99; so this refuses nothing.
    if text.len() > MAX_ITEMS * 17 + 8 {
        return Err(DecompressError::TooMany(text.len() * 2));
    }
    let bytes = from_base64(text)?;
    let [algorithm, high, middle, low, body @ ..] = bytes.as_slice() else {
        return Err(DecompressError::Short);
    };
    if *algorithm != ALGORITHM {
        return Err(DecompressError::Algorithm(*algorithm));
    }
    let count = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
    if count > MAX_ITEMS {
        return Err(DecompressError::TooMany(count));
    }
    let mut gaps = Vec::new();
    let mut ends = 0;
    let mut reader = Packed { bytes: body, at: 0 };
    while ends < count {
        let gap = reader.take(3).ok_or(DecompressError::Short)?;
        ends += usize::from(gap == 0);
        gaps.push(gap);
    }
    reader.skip_to_byte();
    let mut items = Vec::with_capacity(count);
    let (mut item, mut place) = (0u32, 0u32);
    for mut gap in gaps {
        if gap == 0 {
            item ^= items.last().copied().unwrap_or(0);
            items.push(item);
            (item, place) = (0, 0);
            continue;
        }
        if gap == 7 {
            gap += reader.take(5).ok_or(DecompressError::Short)?;
        }
        place += gap;
        if place > 32 {
            return Err(DecompressError::Bit(place));
        }
        item |= 1 << (place - 1);
    }
    reader.skip_to_byte();
    if reader.at < body.len() * 8 { Err(DecompressError::Long) } else { Ok(items) }
}

/// Small numbers packed from the lowest bit of each byte upwards.
struct Packed<'a> {
    bytes: &'a [u8],
    /// Bits already taken.
    at: usize,
}

impl Packed<'_> {
    fn take(&mut self, bits: usize) -> Option<u32> {
        let low = u32::from(*self.bytes.get(self.at / 8)?);
        let high = self.bytes.get(self.at / 8 + 1).copied();
        let shift = self.at % 8;
        if shift + bits > 8 && high.is_none() {
            return None;
        }
        self.at += bits;
        let both = low | (u32::from(high.unwrap_or(0)) << 8);
        Some((both >> shift) & ((1 << bits) - 1))
    }

    fn skip_to_byte(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &byte| (bits << 8) | u32::from(byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

fn from_base64(text: &str) -> Result<Vec<u8>, DecompressError> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        if group.len() == 1 {
            return Err(DecompressError::NotBase64);
        }
        let mut bits = 0u32;
        for &character in group {
            let digit = match character {
                b'A'..=b'Z' => character - b'A',
                b'a'..=b'z' => character - b'a' + 26,
                b'0'..=b'9' => character - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return Err(DecompressError::NotBase64),
            };
            bits = (bits << 6) | u32::from(digit);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packs_and_unpacks_what_was_packed_by_hand() {
        let cases: [(&[u8], &[u32]); 7] = [
            (&[1, 0, 0, 0], &[]),
            // One bit: a gap of 1, the end of the item.
            (&[1, 0, 0, 1, 0b00_000_001], &[1]),
            // Three bits: gaps of 1, 1, 1 and the end, which takes part of a second byte.
            (&[1, 0, 0, 1, 0b01_001_001, 0], &[0b111]),
            // Gaps of 7 and of 9: what exceeds 7 stands in the second array.
            (&[1, 0, 0, 1, 0b00_000_111, 0], &[1 << 6]),
            (&[1, 0, 0, 1, 0b00_000_111, 2], &[1 << 8]),
            // An item equal to the one before it leaves no bits.
            (&[1, 0, 0, 2, 0b00_000_001, 0], &[1, 1]),
            (&[1, 0, 0, 2, 0b01_000_001, 0], &[1, 0]),
        ];
        for (bytes, items) in cases {
            assert_eq!(decompress(&to_base64(bytes)).unwrap(), items);
            assert_eq!(compress(items), to_base64(bytes));
        }
        assert_eq!(compress(&[]), "AQAAAA");
    }

    #[test]
    fn gaps_of_every_width_survive() {
        let items: Vec<u32> =
            (0..32).map(|bit| 1 << bit).chain([0, u32::MAX, 0x8000_0001]).collect();
        assert_eq!(decompress(&compress(&items)).unwrap(), items);
    }

    #[test]
    fn refuses_what_is_no_fingerprint() {
        let cases = [
            ("", DecompressError::Short),
            ("AQAA", DecompressError::Short),
            ("AQAAA", DecompressError::NotBase64),
            ("AQAAAA==", DecompressError::NotBase64),
            ("AQAA+A", DecompressError::NotBase64),
            ("AQAAAg", DecompressError::Short),
            ("AQAAAgE", DecompressError::Short),
            ("AQAAAgEAAA", DecompressError::Long),
            ("AgAAAA", DecompressError::Algorithm(2)),
            ("Af___w", DecompressError::TooMany(0xFF_FFFF)),
            // Gaps of 7 and 31 more, beyond the last bit.
            ("AQAAAQcf", DecompressError::Bit(38)),
        ];
        for (text, error) in cases {
            assert_eq!(decompress(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_fingerprint_comes_back(items in prop::collection::vec(any::<u32>(), 0..300)) {
            let text = compress(&items);
            prop_assert_eq!(decompress(&text).unwrap(), items);
        }

        #[test]
        fn no_text_makes_it_panic(text in "AQAA[A-Za-z0-9_-]{0,80}") {
            if let Ok(items) = decompress(&text) {
                prop_assert_eq!(decompress(&compress(&items)).unwrap(), items);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in "\\PC{0,60}") {
            let _ = decompress(&text);
        }
    }
}
