//! A volume that is full: its blocks one after another in one flat file that never changes, so that it
//! is read at the speed of the disk, copied as it is, and mended block by block. Where new blocks go
//! is `journal`.
//!
//! ```text
//! RPRSVOLM | version u32 | identity, 16 | first u64 | before, 32 | CRC-32 of what is before
//! blocks as in schema/log.md
//! tail: number of marks u64 | (first u64 | offset u64)... | streams and commands, see `streams`
//! tail at u64 | last u64 | blocks u64 | hash of the last block, 32 | BLAKE3 of the tail, 32 | CRC-32 | RPRSVEND
//! ```
//! A mark says where a block begins; there is one about every [`MARK_BYTES`].

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use domain::Seq;

use crate::active::Start;
use crate::block::{self, Announced, Block};
use crate::damage::Damage;
use crate::identity::LogId;
use crate::journal::End;
use crate::reader::ReadError;
use crate::streams::Streams;

const MAGIC: [u8; 8] = *b"RPRSVOLM";
const END: [u8; 8] = *b"RPRSVEND";
const VERSION: u32 = 2;
pub(crate) const HEADER_BYTES: usize = 8 + 4 + 16 + 8 + 32 + 4;
const FOOTER_BYTES: usize = 8 + 8 + 8 + 32 + 32 + 4 + 8;

/// Bytes between two marks: what is read at most to find a block.
pub(crate) const MARK_BYTES: u64 = 64 * 1024;

/// Bytes read at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// Largest tail: the commands that are kept, and some ten million streams.
const TAIL_MOST: u64 = 512 * 1024 * 1024;

/// An open volume.
pub(crate) struct Sealed {
    file: File,
    path: PathBuf,
    end: End,
}

/// Why a volume could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes the bytes of a sealed volume.
pub(crate) fn write_to(
    out: &mut impl Write,
    start: Start,
    blocks: impl Iterator<Item = Result<Block, ReadError>>,
    streams: &Streams,
) -> Result<(), SealError> {
    out.write_all(&header(start))?;
    let mut end = End::of_none(start);
    for block in blocks {
        let block = block?;
        out.write_all(block.bytes())?;
        end.pass(block.first(), block.last(), block.hash(), block.bytes().len());
    }
    Ok(out.write_all(&tail(&end, streams))?)
}

/// What a volume and its journal begin with.
pub(crate) fn header(start: Start) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&start.identity.0);
    header.extend_from_slice(&start.first.0.to_le_bytes());
    header.extend_from_slice(&start.before);
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    header
}

/// What comes after the blocks of a sealed volume.
pub(crate) fn tail(end: &End, streams: &Streams) -> Vec<u8> {
    let mut tail = (end.marks.len() as u64).to_le_bytes().to_vec();
    for (first, offset) in &end.marks {
        tail.extend_from_slice(&first.0.to_le_bytes());
        tail.extend_from_slice(&offset.to_le_bytes());
    }
    streams.write(&mut tail);
    let mut footer = end.offset.to_le_bytes().to_vec();
    footer.extend_from_slice(&end.last.0.to_le_bytes());
    footer.extend_from_slice(&end.blocks.to_le_bytes());
    footer.extend_from_slice(&end.head);
    footer.extend_from_slice(blake3::hash(&tail).as_bytes());
    footer.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
    footer.extend_from_slice(&END);
    tail.extend_from_slice(&footer);
    tail
}

/// What the volume or the journal in `file` says that it is.
pub(crate) fn read_start(file: &File) -> Result<Start, Damage> {
    let header = read_up_to(file, 0, HEADER_BYTES).map_err(|_| Damage::Cut)?;
    read_header(header.first_chunk().ok_or(Damage::Cut)?)
}

impl Sealed {
    /// Opens a volume, and gives what it knows of all the log up to its end. Its blocks are checked
    /// when they are read.
    pub(crate) fn open(path: &Path) -> Result<(Self, Streams), ReadError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let damaged = |damage| ReadError::Volume { path: path.to_owned(), damage };
        let cut = || damaged(Damage::Cut);
        let footer_at = length.checked_sub(FOOTER_BYTES as u64).ok_or_else(cut)?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at)?;
        let start = read_header(&header).map_err(damaged)?;
        let sum_at = FOOTER_BYTES - 12;
        if footer[FOOTER_BYTES - 8..] != END {
            return Err(cut());
        }
        if crc32fast::hash(&footer[..sum_at]).to_le_bytes() != footer[sum_at..sum_at + 4] {
            return Err(damaged(Damage::Checksum));
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&footer[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let (tail_at, last, blocks) = (number(0), Seq(number(8)), number(16));
        let tail_bytes = footer_at.checked_sub(tail_at).filter(|bytes| *bytes <= TAIL_MOST);
        let tail_bytes =
            tail_bytes.ok_or_else(|| damaged(Damage::Header("its tail is impossible")))?;
        let mut tail = vec![0; usize::try_from(tail_bytes).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut tail, tail_at)?;
        if blake3::hash(&tail).as_bytes()[..] != footer[56..88] {
            return Err(damaged(Damage::Hash));
        }
        let mut head = [0; 32];
        head.copy_from_slice(&footer[24..56]);
        let (marks, streams) =
            read_tail(&tail).ok_or_else(|| damaged(Damage::Header("its tail is impossible")))?;
        let is_possible = last.0 < u64::MAX
            && last.0 + 1 >= start.first.0
            && tail_at >= HEADER_BYTES as u64
            && marks.iter().all(|(_, offset)| *offset < tail_at)
            && streams.is_within(last);
        if !is_possible {
            return Err(damaged(Damage::Header("its tail is impossible")));
        }
        let end = End { start, last, head, blocks, commit: tail_at, offset: tail_at, marks };
        Ok((Self::of(file, path, end), streams))
    }

    /// A volume whose end is known.
    pub(crate) fn of(file: File, path: &Path, end: End) -> Self {
        Self { file, path: path.into(), end }
    }

    pub(crate) fn start(&self) -> Start {
        self.end.start
    }

    /// Whether nothing is appended to it any more; else it is a journal that is only read.
    pub(crate) fn is_sealed(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "vol")
    }

    /// How far it reaches.
    pub(crate) fn end(&self) -> &End {
        &self.end
    }

    /// Position of the last event; before the first one when there is none.
    pub(crate) fn last(&self) -> Seq {
        self.end.last
    }

    /// Number of blocks.
    pub(crate) fn blocks(&self) -> u64 {
        self.end.blocks
    }

    /// Hash of the last block.
    pub(crate) fn head(&self) -> [u8; 32] {
        self.end.head
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub(crate) fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The block that holds `seq`, which must be one of this volume's.
    pub(crate) fn block_at(&self, seq: Seq, window: &mut Window) -> Result<Block, ReadError> {
        let damaged = |seq, damage| ReadError::Damaged { seq, damage };
        // Reading on from where the window's block ended saves the search.
        let mut offset = match window.next.filter(|(next, _)| *next == seq) {
            Some((_, offset)) => offset,
            None => {
                let after = self.end.marks.partition_point(|(first, _)| *first <= seq);
                let mark = after.checked_sub(1).and_then(|at| self.end.marks.get(at));
                mark.ok_or_else(|| damaged(seq, Damage::Missing))?.1
            }
        };
        let mut expected = None;
        loop {
            let named = expected.unwrap_or(seq);
            let found = self.announced(offset, window, named)?;
            if expected.is_some_and(|expected| expected != found.first) || found.first > seq {
                return Err(damaged(named, Damage::Missing));
            }
            let end = offset + found.length as u64;
            if end > self.end.offset {
                return Err(damaged(found.first, Damage::Cut));
            }
            if found.last < seq {
                expected = Some(Seq(found.last.0 + 1));
                offset = end;
                continue;
            }
            let bytes = window.read(&self.file, offset, found.length)?.to_vec();
            let block =
                Block::check(bytes, found.first).map_err(|(seq, damage)| damaged(seq, damage))?;
            window.next = Some((Seq(block.last().0.saturating_add(1)), end));
            return Ok(block);
        }
    }

    fn announced(
        &self,
        offset: u64,
        window: &mut Window,
        named: Seq,
    ) -> Result<Announced, ReadError> {
        let damaged = |damage| ReadError::Damaged { seq: named, damage };
        if offset + block::HEADER_BYTES as u64 > self.end.offset {
            return Err(damaged(Damage::Missing));
        }
        block::announced(window.read(&self.file, offset, block::HEADER_BYTES)?).map_err(damaged)
    }
}

fn read_header(header: &[u8; HEADER_BYTES]) -> Result<Start, Damage> {
    if header[..8] != MAGIC {
        return Err(Damage::Header("it does not begin with RPRSVOLM"));
    }
    if crc32fast::hash(&header[..HEADER_BYTES - 4]).to_le_bytes() != header[HEADER_BYTES - 4..] {
        return Err(Damage::Checksum);
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let (mut identity, mut first, mut before) = ([0; 16], [0; 8], [0; 32]);
    identity.copy_from_slice(&header[12..28]);
    first.copy_from_slice(&header[28..36]);
    before.copy_from_slice(&header[36..68]);
    let first = Seq(u64::from_le_bytes(first));
    if first.0 == 0 {
        return Err(Damage::Position(0));
    }
    Ok(Start { identity: LogId(identity), first, before })
}

fn read_tail(mut tail: &[u8]) -> Option<(Vec<(Seq, u64)>, Streams)> {
    let mut number = || {
        let (number, rest) = tail.split_first_chunk::<8>()?;
        tail = rest;
        Some(u64::from_le_bytes(*number))
    };
    let count = number()?;
    let mut marks = Vec::new();
    for _ in 0..count {
        marks.push((Seq(number()?), number()?));
    }
    Some((marks, Streams::read(tail)?))
}

/// A piece of a volume held in memory, so that neighbouring blocks cost one read together. It belongs
/// to one volume at a time.
#[derive(Default)]
pub(crate) struct Window {
    offset: u64,
    bytes: Vec<u8>,
    /// The position after the block read last, and where its block begins.
    next: Option<(Seq, u64)>,
}

impl Window {
    /// Forgets the volume it was of.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.next = None;
    }

    fn read(&mut self, file: &File, offset: u64, length: usize) -> io::Result<&[u8]> {
        let held = offset.checked_sub(self.offset).and_then(|skip| usize::try_from(skip).ok());
        let held = held.filter(|skip| skip.saturating_add(length) <= self.bytes.len());
        let skip = match held {
            Some(skip) => skip,
            None => {
                self.fill(file, offset, length.max(WINDOW_BYTES))?;
                0
            }
        };
        self.bytes.get(skip..skip + length).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Bytes of a file of this length, or that there are fewer.
    pub(crate) fn peek(
        &mut self,
        file: &File,
        offset: u64,
        bytes: usize,
        length: u64,
    ) -> Result<&[u8], Damage> {
        if offset + bytes as u64 > length {
            return Err(Damage::Cut);
        }
        self.read(file, offset, bytes).map_err(|_| Damage::Cut)
    }

    fn fill(&mut self, file: &File, offset: u64, wanted: usize) -> io::Result<()> {
        self.offset = offset;
        self.bytes.resize(wanted, 0);
        let filled = fill(file, offset, &mut self.bytes);
        self.bytes.truncate(*filled.as_ref().unwrap_or(&0));
        filled.map(drop)
    }
}

/// At most so many bytes from `offset` on; fewer where the file ends.
pub(crate) fn read_up_to(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = vec![0; bytes];
    let filled = fill(file, offset, &mut read)?;
    read.truncate(filled);
    Ok(read)
}

fn fill(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use domain::{Command, Event, Input, JobId, Timestamp};

    use super::*;
    use crate::record::Stream;
    use crate::{AppendError, Log, Step};

    #[test]
    fn a_volume_whose_streams_have_more_events_than_the_log_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("5.vol");
        let start = Start { identity: LogId([7; 16]), first: Seq(5), before: [0; 32] };
        let mut streams = Streams::default();
        for revision in 1..=5 {
            streams.place(Stream::Job(JobId(1)), Seq(1));
            write_to(&mut File::create(&path).unwrap(), start, std::iter::empty(), &streams)
                .unwrap();
            let opened = Sealed::open(&path);
            assert_eq!(opened.is_ok(), revision <= 4, "{revision} of 4 events");
        }
    }

    #[test]
    fn a_volume_that_claims_nearly_all_positions_leaves_too_few_to_append() {
        let dir = tempfile::tempdir().unwrap();
        let identity = LogId([7; 16]);
        let start = Start { identity, first: Seq(1), before: identity.chain_start() };
        let mut volume = Vec::new();
        write_to(&mut volume, start, std::iter::empty(), &Streams::default()).unwrap();
        let footer_at = volume.len() - FOOTER_BYTES;
        let footer = &mut volume[footer_at..];
        footer[8..16].copy_from_slice(&(u64::MAX - 3).to_le_bytes());
        let sum = crc32fast::hash(&footer[..FOOTER_BYTES - 12]).to_le_bytes();
        footer[FOOTER_BYTES - 12..FOOTER_BYTES - 8].copy_from_slice(&sum);
        std::fs::create_dir(dir.path().join("volumes")).unwrap();
        std::fs::write(dir.path().join("volumes/00000000000000000001.vol"), volume).unwrap();
        let (mut log, _reader) = Log::open(dir.path()).unwrap();
        let event = [Event::Input(Input::Command(Command::RetryJob { job: JobId(7) }))];
        let steps = [Step::new(Timestamp(1), &event); 5];
        assert!(matches!(log.append(&steps), Err(AppendError::Full)));
    }
}
