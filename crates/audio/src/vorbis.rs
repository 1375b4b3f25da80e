//! Looks over the codebooks of a Vorbis stream before the decoder does, which asserts of them what
//! a file is free to break: codewords of at most 32 bits, and a table whose size a floating-point
//! root gives exactly. Builds no tables and decodes nothing; the packet comes from [`crate::ogg`].

/// Limits the decoder has for itself; larger codebooks appear in no file it plays.
const MAX_DIMENSIONS: u32 = 32;
const MAX_ENTRIES: u32 = 128 * 1024;

/// Says if the codebooks at the start of a setup header are such that they can be decoded.
///
/// Layout: 5, "vorbis", the number of codebooks less one, the codebooks; all numbers are packed from
/// the lowest bit upwards (Vorbis I sections 2.1.4, 3.2.1 and 4.2.4).
pub(crate) fn has_sound_codebooks(setup: &[u8]) -> bool {
    let Some(packed) = setup.strip_prefix(b"\x05vorbis") else { return false };
    let mut bits = Packed { bytes: packed, at: 0 };
    let count = bits.take(8).map_or(0, |count| count + 1);
    count > 0 && (0..count).all(|_| is_sound(&mut bits).unwrap_or(false))
}

/// Steps over one codebook; nothing when the packet ends inside it.
fn is_sound(bits: &mut Packed) -> Option<bool> {
    let (sync, dimensions, entries) = (bits.take(24)?, bits.take(16)?, bits.take(24)?);
    if sync != 0x56_4342 || dimensions == 0 || dimensions > MAX_DIMENSIONS || entries > MAX_ENTRIES
    {
        return Some(false);
    }
    let is_ordered = bits.take(1)? == 1;
    if is_ordered {
        let mut len = bits.take(5)? + 1;
        let mut entry = 0;
        while entry < entries {
            // A run of entries with codewords of one length, as wide as the entries that are left.
            let run = bits.take(32 - (entries - entry).leading_zeros())?;
            if len > 32 || run > entries - entry {
                return Some(false);
            }
            entry += run;
            len += 1;
        }
    } else {
        let is_sparse = bits.take(1)? == 1;
        for _ in 0..entries {
            if !is_sparse || bits.take(1)? == 1 {
                bits.take(5)?;
            }
        }
    }
    let lookup = bits.take(4)?;
    if lookup == 0 {
        return Some(true);
    }
    bits.take(32)?;
    bits.take(32)?;
    let width = bits.take(4)? + 1;
    bits.take(1)?;
    let values = match lookup {
        1 => match table_len(entries, dimensions) {
            Some(len) => len,
            None => return Some(false),
        },
        2 => entries * dimensions,
        _ => return Some(false),
    };
    for _ in 0..values {
        bits.take(width)?;
    }
    Some(true)
}

/// The largest number whose power of `dimensions` is at most `entries`; nothing when the decoder's
/// way to it, by a 32-bit float, comes out elsewhere or leaves its integers.
fn table_len(entries: u32, dimensions: u32) -> Option<u32> {
    let root = (entries as f32).powf(1.0 / dimensions as f32).floor() as u32;
    let fits = root.checked_pow(dimensions)? <= entries;
    let is_largest = (root + 1).checked_pow(dimensions)? > entries;
    (fits && is_largest && root > 0).then_some(root)
}

/// Numbers packed from the lowest bit of each byte upwards.
struct Packed<'a> {
    bytes: &'a [u8],
    /// Bits already taken.
    at: usize,
}

impl Packed<'_> {
    /// The next number of up to 32 bits.
    fn take(&mut self, bits: u32) -> Option<u32> {
        let mut number = 0;
        for place in 0..bits {
            let byte = self.bytes.get(self.at / 8)?;
            number |= u32::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packs (number, width) pairs as a setup header with one codebook.
    fn setup(numbers: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = b"\x05vorbis\0".to_vec();
        let mut used = 0;
        for &(number, width) in numbers {
            for place in 0..width {
                if used % 8 == 0 {
                    bytes.push(0);
                }
                let last = bytes.len() - 1;
                bytes[last] |= ((number >> place & 1) as u8) << (used % 8);
                used += 1;
            }
        }
        bytes
    }

    const SYNC: (u32, u32) = (0x56_4342, 24);

    #[test]
    fn a_scalar_codebook_is_sound() {
        let lens = [(0, 5), (1, 5), (1, 5)];
        let head = [SYNC, (1, 16), (3, 24), (0, 1), (0, 1)];
        assert!(has_sound_codebooks(&setup(&[&head[..], &lens, &[(0, 4)]].concat())));
        assert!(!has_sound_codebooks(&setup(&[&head[..], &lens[..1]].concat())), "it ends early");
    }

    #[test]
    fn codewords_longer_than_32_bits_are_not() {
        // Entries in order of length: none of 31 bits, none of 32, one of 33.
        let book = [SYNC, (1, 16), (1, 24), (1, 1), (30, 5), (0, 1), (0, 1), (1, 1), (0, 4)];
        assert!(!has_sound_codebooks(&setup(&book)));
    }

    #[test]
    fn tables_are_as_large_as_an_exact_root() {
        assert_eq!(table_len(81, 4), Some(3));
        assert_eq!(table_len(82, 4), Some(3));
        assert_eq!(table_len(6_561, 8), Some(3));
        assert_eq!(table_len(1, 32), None, "two to the power of 32 is no 32-bit number");
        for dimensions in 1..=8 {
            for entries in 1..2_000u32 {
                let exact = (1..=entries).take_while(|n| n.pow(dimensions) <= entries).count();
                assert!(table_len(entries, dimensions).is_none_or(|len| len as usize == exact));
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            has_sound_codebooks(&[b"\x05vorbis".as_slice(), &bytes].concat());
        }
    }
}
