//! Zlib bodies, unpacked as a stream under a cap: a zlib bomb is an error, never an allocation.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::pack::DecodeError;

/// Unpacks `packed`, refusing to produce more than `cap` bytes.
pub(super) fn inflate(packed: &[u8], cap: usize) -> Result<Vec<u8>, DecodeError> {
    let mut unpacked = Vec::new();
    let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    ZlibDecoder::new(packed)
        .take(limit)
        .read_to_end(&mut unpacked)
        .map_err(|_| DecodeError::Damaged)?;
    if unpacked.len() > cap {
        return Err(DecodeError::TooLarge { cap });
    }
    Ok(unpacked)
}

/// Packs `plain` the way every client does.
pub(super) fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_refused_at_the_cap() {
        let bomb = deflate(&vec![0; 4 << 20]);
        assert!(bomb.len() < 8 << 10);
        assert_eq!(inflate(&bomb, 1 << 20), Err(DecodeError::TooLarge { cap: 1 << 20 }));
        assert_eq!(inflate(&bomb, 4 << 20).map(|plain| plain.len()), Ok(4 << 20));
    }

    #[test]
    fn what_is_not_zlib_is_damaged() {
        assert_eq!(inflate(b"plain", 100), Err(DecodeError::Damaged));
        let cut = &deflate(b"the end is missing here")[..12];
        assert_eq!(inflate(cut, 100), Err(DecodeError::Damaged));
    }
}
