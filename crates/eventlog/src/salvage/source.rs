//! A file of a damaged log, read as far as the disk can: around sectors that it cannot read any more.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::sealed::read_up_to;
use crate::store::{PART_BYTES, PART_HEADER_BYTES};

/// Bytes looked through at once; what begins in them may reach further.
const PIECE_BYTES: usize = 16 * 1024 * 1024;

/// What a disk gives up at once.
const SECTOR_BYTES: u64 = 4096;

pub(super) struct Source {
    file: File,
    path: PathBuf,
    length: u64,
    /// Offsets of sectors that could not be read.
    lost: RefCell<BTreeSet<u64>>,
}

impl Source {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, path: path.to_owned(), length, lost: RefCell::default() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Stretches that could not be read, ascending.
    pub(super) fn lost(&self) -> Vec<Range<u64>> {
        let mut stretches: Vec<Range<u64>> = Vec::new();
        for sector in self.lost.borrow().iter() {
            let end = (sector + SECTOR_BYTES).min(self.length);
            match stretches.last_mut() {
                Some(last) if last.end == *sector => last.end = end,
                _ => stretches.push(*sector..end),
            }
        }
        stretches
    }

    /// At most so many bytes from `offset` on; fewer where the file ends. What cannot be read is zeros.
    pub(super) fn read(&self, offset: u64, bytes: usize) -> Vec<u8> {
        read_up_to(&self.file, offset, bytes).unwrap_or_else(|_| self.read_around(offset, bytes))
    }

    fn read_around(&self, offset: u64, bytes: usize) -> Vec<u8> {
        let end = self.length.min(offset.saturating_add(bytes as u64));
        let mut read = Vec::new();
        let mut at = offset;
        while at < end {
            let sector = at / SECTOR_BYTES * SECTOR_BYTES;
            let wanted = usize::try_from((sector + SECTOR_BYTES).min(end) - at)
                .expect("a sector fits into memory");
            let mut piece = read_up_to(&self.file, at, wanted).unwrap_or_else(|_| {
                self.lost.borrow_mut().insert(sector);
                Vec::new()
            });
            piece.resize(wanted, 0);
            read.append(&mut piece);
            at += wanted as u64;
        }
        read
    }

    /// The bytes of a block from its parts, as far as they are there.
    pub(super) fn gather(&self, offsets: &[u64], length: usize) -> Vec<u8> {
        if let [offset] = offsets {
            return self.read(*offset, length);
        }
        let mut bytes = Vec::with_capacity(length);
        for (part, offset) in offsets.iter().enumerate() {
            let skip = if part == 0 { 0 } else { PART_HEADER_BYTES as u64 };
            let wanted = PART_BYTES.min(length.saturating_sub(bytes.len()));
            bytes.extend(self.read(offset + skip, wanted));
        }
        bytes
    }

    /// Shows the file piece by piece: the offset of a piece, the piece with `beyond` bytes of the next
    /// one, and how many bytes are its own.
    pub(super) fn in_pieces(&self, beyond: usize, mut look: impl FnMut(u64, &[u8], usize)) {
        let mut offset = 0;
        while offset < self.length {
            let piece = self.read(offset, PIECE_BYTES + beyond);
            if piece.is_empty() {
                break;
            }
            look(offset, &piece, piece.len().min(PIECE_BYTES));
            offset += PIECE_BYTES as u64;
        }
    }
}
