//! Zlib bodies, unpacked as a stream under a cap: a zlib bomb is an error, never an allocation.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::pack::DecodeError;

/// Unpacks `packed`, refusing to produce more than `cap` bytes.
pub(super) fn inflate(packed: &[u8], cap: usize) -> Result<Vec<u8>, DecodeError> {
    let unpacked = inflate_front(packed, cap.saturating_add(1))?;
    if unpacked.len() > cap {
        return Err(DecodeError::TooLarge { cap });
    }
    Ok(unpacked)
}

/// Unpacks the first `count` bytes, or all when there are fewer; what follows stays packed.
pub(super) fn inflate_front(packed: &[u8], count: usize) -> Result<Vec<u8>, DecodeError> {
    let mut unpacked = Vec::new();
    ZlibDecoder::new(packed)
        .take(u64::try_from(count).unwrap_or(u64::MAX))
        .read_to_end(&mut unpacked)
        .map_err(|_| DecodeError::Damaged)?;
    #[cfg(test)]
    UNPACKED.set(UNPACKED.get() + unpacked.len());
    Ok(unpacked)
}

/// Packs `plain` the way every client does.
pub(super) fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

#[cfg(test)]
std::thread_local! {
    static UNPACKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What `work` returns, and how many bytes were unpacked meanwhile.
#[cfg(test)]
pub(crate) fn metered<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = UNPACKED.get();
    let done = work();
    (done, UNPACKED.get() - before)
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
    fn the_front_of_a_bomb_is_all_that_is_unpacked() {
        let bomb = deflate(&vec![7; 4 << 20]);
        let (front, unpacked) = metered(|| inflate_front(&bomb, 100));
        assert_eq!((front, unpacked), (Ok(vec![7; 100]), 100));
        assert_eq!(inflate_front(&deflate(&[7; 3]), 100), Ok(vec![7; 3]));
    }

    #[test]
    fn what_is_not_zlib_is_damaged() {
        assert_eq!(inflate(b"plain", 100), Err(DecodeError::Damaged));
        let cut = &deflate(b"the end is missing here")[..12];
        assert_eq!(inflate(cut, 100), Err(DecodeError::Damaged));
    }
}
