//! The part of a file that holds audio, as a source a demuxer reads. Tags before and after it are
//! out of sight, so a cover inside one can neither be taken for a frame nor fill the memory.
//! Which part that is, [`crate::sniff`] says.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::io::MediaSource;

/// Metadata blocks a FLAC may have before we call it damaged; real ones have fewer than ten.
const MAX_FLAC_BLOCKS: usize = 1_024;

/// A range of a file, or of a FLAC its header and its frames with no other metadata between them.
pub(crate) struct Window {
    /// Bytes that come first and are not in the range: for a FLAC the marker and STREAMINFO.
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

    /// Shows a FLAC without its comments, pictures and padding. Nothing when it has no STREAMINFO
    /// or ends among its metadata.
    ///
    /// Layout: "fLaC", then blocks of one byte of type (the top bit marks the last), three of
    /// length, and a body; STREAMINFO comes first and has 34 bytes (RFC 9639 section 8).
    pub(crate) fn over_flac(mut file: File, range: Range<u64>) -> io::Result<Option<Self>> {
        const STREAMINFO_LEN: usize = 34;
        let mut head = vec![0; 8 + STREAMINFO_LEN];
        file.seek(SeekFrom::Start(range.start))?;
        if range.end - range.start < head.len() as u64 {
            return Ok(None);
        }
        file.read_exact(&mut head)?;
        if head[4] & 0x7F != 0 || head[5..8] != [0, 0, STREAMINFO_LEN as u8] {
            return Ok(None);
        }
        let mut is_last = head[4] & 0x80 != 0;
        head[4] |= 0x80;
        let mut at = range.start + head.len() as u64;
        for _ in 0..MAX_FLAC_BLOCKS {
            // Room for the next block's header, or for a frame's first bytes.
            if range.end.saturating_sub(at) < 4 {
                return Ok(None);
            }
            if is_last {
                let range = at..range.end;
                let mut sync = [0; 2];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut sync)?;
                file.seek(SeekFrom::Start(at))?;
                // Frames that start like this have one size, up to the last. Where an encoder took
                // that last one for the smallest block, the decoder would expect a variable size
                // and know none of the frames.
                if sync == [0xFF, 0xF8] {
                    head.copy_within(10..12, 8);
                }
                return Ok(Some(Self {
                    head: Cursor::new(head),
                    file,
                    range,
                    at,
                    seekable: false,
                }));
            }
            let mut block = [0; 4];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut block)?;
            is_last = block[0] & 0x80 != 0;
            at += 4 + u64::from(u32::from_be_bytes([0, block[1], block[2], block[3]]));
        }
        Ok(None)
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
