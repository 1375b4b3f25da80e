//! The part of a file that holds audio, as a source a demuxer reads. Tags before and after it are
//! out of sight, so a cover inside one can neither be taken for a frame nor fill the memory.
//! Which part that is, [`crate::sniff()`] says and [`crate::header`] narrows down.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::io::MediaSource;

/// A range of a file, with a header of our own in front of it where a container asks for one.
pub(crate) struct Window {
    /// Bytes that come first and are not in the range.
    head: Cursor<Vec<u8>>,
    file: File,
    range: Range<u64>,
    /// Where in `range` the next byte is read; counts from the start of the file.
    at: u64,
    seekable: bool,
}

impl Window {
    /// Shows `range` of `file`. A demuxer told that the source is not seekable does not look for
    /// the end of it, and so guesses no length.
    pub(crate) fn over(mut file: File, range: Range<u64>, seekable: bool) -> io::Result<Self> {
        file.seek(SeekFrom::Start(range.start))?;
        Ok(Self { head: Cursor::new(Vec::new()), file, at: range.start, range, seekable })
    }

    /// Shows `head`, made by us, and behind it `range` of `file`; not seekable.
    pub(crate) fn behind(head: Vec<u8>, file: File, range: Range<u64>) -> io::Result<Self> {
        Ok(Self { head: Cursor::new(head), ..Self::over(file, range, false)? })
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from_head = self.head.read(buffer)?;
        if from_head > 0 {
            return Ok(from_head);
        }
        let left = self.range.end.saturating_sub(self.at);
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.file.read(&mut buffer[..wanted])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let len = self.range.end - self.range.start;
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => len.checked_add_signed(offset),
            SeekFrom::Current(offset) => (self.at - self.range.start).checked_add_signed(offset),
        };
        let target = target.filter(|_| self.seekable).ok_or(io::ErrorKind::InvalidInput)?;
        let at = self.range.start.checked_add(target).ok_or(io::ErrorKind::InvalidInput)?;
        self.at = self.file.seek(SeekFrom::Start(at))?;
        Ok(target)
    }
}

impl MediaSource for Window {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        self.seekable.then_some(self.range.end - self.range.start)
    }
}
