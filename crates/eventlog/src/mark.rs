//! The high-water mark: a small file beside the store that says where the log ended at the last
//! acknowledged append. The chain inside the log proves everything up to its end, and cannot prove
//! that it is the end: sled takes a damaged tail for one that was never finished and goes on with less.
//!
//! ```text
//! RPRSMARK | last event u64 | BLAKE3 of the last block, 32 bytes | CRC-32 of what is before
//! ```
//! It is written after each commit and not synced: it may lag behind after a power cut, and never
//! runs ahead.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use domain::Seq;

use crate::damage::Damage;
use crate::reader::ReadError;

const MAGIC: [u8; 8] = *b"RPRSMARK";
const BYTES: usize = 8 + 8 + 32 + 4;

/// The open mark of one log.
pub(crate) struct Mark {
    file: File,
}

impl Mark {
    /// Opens the mark of the log in `dir`, or begins one.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("mark");
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        Ok(Self { file })
    }

    /// What the mark of the log in `dir` says, if it can be read; nothing is made.
    pub(crate) fn peek(dir: &Path) -> Option<(Seq, [u8; 32])> {
        Self { file: File::open(dir.join("mark")).ok()? }.read()
    }

    /// Fails when the log ends before the mark, or differs where the mark is. A mark that cannot be
    /// read proves nothing: its own write may have been torn.
    pub(crate) fn check(
        mark: Option<(Seq, [u8; 32])>,
        last: Seq,
        hash: &[u8; 32],
    ) -> Result<(), ReadError> {
        let Some((marked, marked_hash)) = mark else { return Ok(()) };
        if marked > last {
            let seq = Seq(last.0 + 1);
            return Err(ReadError::Damaged { seq, damage: Damage::Missing });
        }
        if marked == last && marked_hash != *hash {
            return Err(ReadError::Damaged { seq: last, damage: Damage::Chain });
        }
        Ok(())
    }

    /// Moves the mark to the end of what is durable now.
    pub(crate) fn set(&self, last: Seq, hash: &[u8; 32]) -> io::Result<()> {
        self.file.write_all_at(&encode(last, hash), 0)
    }

    fn read(&self) -> Option<(Seq, [u8; 32])> {
        let mut bytes = Vec::with_capacity(BYTES);
        (&self.file).take(BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
        decode(&bytes)
    }
}

pub(crate) fn encode(last: Seq, hash: &[u8; 32]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&last.0.to_le_bytes());
    bytes.extend_from_slice(hash);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Option<(Seq, [u8; 32])> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let (magic, rest) = body.split_first_chunk::<8>()?;
    let (last, hash) = rest.split_first_chunk::<8>()?;
    let whole = *magic == MAGIC && crc32fast::hash(body) == u32::from_le_bytes(*crc);
    whole.then_some((Seq(u64::from_le_bytes(*last)), hash.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checked(dir: &Path, last: u64, hash: u8) -> Result<(), ReadError> {
        Mark::check(Mark::open(dir).unwrap().read(), Seq(last), &[hash; 32])
    }

    #[test]
    fn a_log_that_ends_before_its_mark_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        assert!(checked(dir.path(), 0, 0).is_ok());
        Mark::open(dir.path()).unwrap().set(Seq(9), &[7; 32]).unwrap();
        assert!(matches!(
            checked(dir.path(), 5, 7),
            Err(ReadError::Damaged { seq: Seq(6), damage: Damage::Missing })
        ));
        assert!(matches!(
            checked(dir.path(), 9, 8),
            Err(ReadError::Damaged { seq: Seq(9), damage: Damage::Chain })
        ));
        assert!(checked(dir.path(), 9, 7).is_ok());
        // After a power cut the mark may lag behind.
        assert!(checked(dir.path(), 12, 1).is_ok());
    }

    #[test]
    fn a_mark_that_cannot_be_read_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        Mark::open(dir.path()).unwrap().set(Seq(9), &[7; 32]).unwrap();
        let mut bytes = std::fs::read(dir.path().join("mark")).unwrap();
        bytes[9] ^= 1;
        std::fs::write(dir.path().join("mark"), bytes).unwrap();
        assert!(checked(dir.path(), 5, 7).is_ok());
    }
    proptest! {
        #[test]
        fn a_mark_reads_back_and_none_of_its_bytes_may_change(
            last: u64, hash: [u8; 32], at in 0..BYTES, other in 1u8..,
        ) {
            let mut bytes = encode(Seq(last), &hash);
            prop_assert_eq!(bytes.len(), BYTES);
            prop_assert_eq!(decode(&bytes), Some((Seq(last), hash)));
            bytes.push(other);
            prop_assert_eq!(decode(&bytes), None);
            bytes.pop();
            bytes[at] ^= other;
            prop_assert_eq!(decode(&bytes), None);
            bytes.truncate(at);
            prop_assert_eq!(decode(&bytes), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let sum = crc32fast::hash(&[&MAGIC[..], &bytes].concat()).to_le_bytes();
            let marked = [&MAGIC[..], &bytes, &sum].concat();
            prop_assert_eq!(decode(&marked).is_some(), bytes.len() == 40);
            let _ = decode(&bytes);
        }
    }
}
