//! Whether an Ogg file was received to its end. Its length is written nowhere but in its last page,
//! so a file cut short looks like a shorter one, unless one asks for the end-of-stream mark.
//! Reads one page header; the streams themselves are demuxed in [`crate::decode`].

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Longest possible page: a header of 27 bytes, 255 segment lengths, 255 full segments.
const MAX_PAGE_LEN: u64 = 27 + 255 + 255 * 255;

/// Says if the last page of `range` is whole and marked as the end of its stream.
///
/// Layout: "OggS", version, flags (4 is the end of a stream), position, serial, sequence, checksum,
/// the number of segments and their lengths (RFC 3533 section 6).
pub(crate) fn ends_whole(file: &mut (impl Read + Seek), range: &Range<u64>) -> io::Result<bool> {
    // Two pages, so that a cut page at the end has a whole one before it to be found.
    let from = range.end.saturating_sub(2 * MAX_PAGE_LEN).max(range.start);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(range.end - from).read_to_end(&mut tail)?;
    let mut starts = (0..tail.len().saturating_sub(26)).rev();
    let last = starts.find(|&at| tail[at..].starts_with(b"OggS\0"));
    Ok(last.is_some_and(|at| {
        let page = &tail[at..];
        let segments = usize::from(page[26]);
        let body = page.get(27..27 + segments).map(|lens| lens.iter().copied().map(usize::from));
        let is_whole = body.is_some_and(|lens| 27 + segments + lens.sum::<usize>() <= page.len());
        is_whole && page[5] & 4 != 0
    }))
}
