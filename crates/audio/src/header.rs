//! Cuts a container's header down to what a decoder needs: how the audio is coded, and where it is.
//! Comments, pictures and whatever else stands there is stepped over, never loaded, and what is left
//! is checked, because the demuxer multiplies some of these numbers without a look at them.
//! Reads no audio; that is [`crate::decode`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{Range, RangeInclusive};

use crate::window::Window;

/// Channels of the widest layout in use (22.2) are 24; a header that claims more asks for memory only.
pub(crate) const CHANNELS: RangeInclusive<usize> = 1..=24;

/// Sample rates music is published at, with room on both sides, in Hz.
pub(crate) const SAMPLE_RATES_HZ: RangeInclusive<u32> = 4_000..=768_000;

/// Bits of a sample in WAVE and AIFF, up to 64-bit floats.
const SAMPLE_BITS: RangeInclusive<u16> = 1..=64;

/// Blocks or chunks before the audio; real files have fewer than twenty.
const MAX_BLOCKS: usize = 1_024;

/// Length of the longest description of a WAVE's or AIFF's samples, a table of ADPCM or a name.
const MAX_FORMAT_LEN: u32 = 1_024;

/// The frames of a FLAC behind its STREAMINFO; nothing when it has none or ends before a frame.
///
/// Layout: "fLaC", then blocks of one byte of type (the top bit marks the last), three of length,
/// and a body; STREAMINFO comes first and has 34 bytes (RFC 9639 section 8).
pub(crate) fn flac(mut file: File, range: Range<u64>) -> io::Result<Option<Window>> {
    const STREAMINFO_LEN: u8 = 34;
    let mut head = [0; 8 + STREAMINFO_LEN as usize];
    if !read_at(&mut file, &range, range.start, &mut head)?
        || head[4] & 0x7F != 0
        || head[5..8] != [0, 0, STREAMINFO_LEN]
    {
        return Ok(None);
    }
    let mut at = range.start + head.len() as u64;
    let mut is_last = head[4] & 0x80 != 0;
    head[4] |= 0x80;
    for _ in 0..MAX_BLOCKS {
        // A block's header, or the first bytes of a frame.
        let mut next = [0; 4];
        if !read_at(&mut file, &range, at, &mut next)? {
            return Ok(None);
        }
        if is_last {
            // Frames that start like this have one size, up to the last. Where an encoder took that
            // last one for the smallest block, the decoder would expect sizes to vary and know none
            // of the frames.
            if next.starts_with(&[0xFF, 0xF8]) {
                head.copy_within(10..12, 8);
            }
            return Window::behind(head.to_vec(), file, at..range.end).map(Some);
        }
        is_last = next[0] & 0x80 != 0;
        at += 4 + u64::from(u32::from_be_bytes([0, next[1], next[2], next[3]]));
    }
    Ok(None)
}

/// The data of a RIFF WAVE behind the description of its samples; nothing when either is missing or
/// the description is out of bounds.
pub(crate) fn wave(mut file: File, range: Range<u64>) -> io::Result<Option<Window>> {
    let found = chunks(&mut file, &range, [b"fmt ", b"data"], u32::from_le_bytes)?;
    let Some((head, audio)) = found else { return Ok(None) };
    // In the chunk: coding, channels, rate, byte rate, block length, bits (two bytes each but for
    // the rates).
    let Some(&[_, _, channels, channels_high, .., bits, bits_high]) =
        head[FORMAT_AT..].first_chunk::<16>()
    else {
        return Ok(None);
    };
    let channels = u16::from_le_bytes([channels, channels_high]);
    let bits = u16::from_le_bytes([bits, bits_high]);
    behind_checked(head, file, audio, channels, bits)
}

/// The same of an AIFF or AIFF-C.
pub(crate) fn aiff(mut file: File, range: Range<u64>) -> io::Result<Option<Window>> {
    let found = chunks(&mut file, &range, [b"COMM", b"SSND"], u32::from_be_bytes)?;
    let Some((head, audio)) = found else { return Ok(None) };
    // In the chunk: channels, frames (four bytes), bits, and the rate as an 80-bit float.
    let Some(&[channels, channels_low, _, _, _, _, bits, bits_low]) =
        head[FORMAT_AT..].first_chunk::<8>()
    else {
        return Ok(None);
    };
    let channels = u16::from_be_bytes([channels, channels_low]);
    let bits = u16::from_be_bytes([bits, bits_low]);
    behind_checked(head, file, audio, channels, bits)
}

/// Where the format chunk's body begins in the head that [`chunks`] returns.
const FORMAT_AT: usize = 20;

/// Finds a format chunk and the data chunk behind it in a file of chunks. Returns a head (the file's
/// own header and the format chunk) and the range that starts with the data chunk.
///
/// Layout: an id of four bytes, a length of four, a body padded to an even length; the whole file
/// is one such chunk, whose body starts with a kind of four bytes.
fn chunks(
    file: &mut File,
    range: &Range<u64>,
    [format, data]: [&[u8; 4]; 2],
    number: impl Fn([u8; 4]) -> u32,
) -> io::Result<Option<(Vec<u8>, Range<u64>)>> {
    let mut head = vec![0; 12];
    if !read_at(file, range, range.start, &mut head)? {
        return Ok(None);
    }
    let mut at = range.start + 12;
    for _ in 0..MAX_BLOCKS {
        let mut chunk = [0; 8];
        if !read_at(file, range, at, &mut chunk)? {
            return Ok(None);
        }
        let [id @ .., a, b, c, d] = chunk;
        let len = number([a, b, c, d]);
        let has_format = head.len() > 12;
        if id == *data && has_format {
            return Ok(Some((head, at..range.end)));
        }
        if id == *format && !has_format {
            if len > MAX_FORMAT_LEN {
                return Ok(None);
            }
            let mut body = vec![0; len.next_multiple_of(2) as usize];
            if !read_at(file, range, at + 8, &mut body)? {
                return Ok(None);
            }
            head.extend(chunk);
            head.extend(body);
        }
        at += 8 + u64::from(len) + u64::from(len % 2);
    }
    Ok(None)
}

fn behind_checked(
    head: Vec<u8>,
    file: File,
    audio: Range<u64>,
    channels: u16,
    bits: u16,
) -> io::Result<Option<Window>> {
    if !CHANNELS.contains(&usize::from(channels)) || !SAMPLE_BITS.contains(&bits) {
        return Ok(None);
    }
    Window::behind(head, file, audio).map(Some)
}

/// Fills `buffer` from `at`; says no when it would reach past the end of `range`.
fn read_at(file: &mut File, range: &Range<u64>, at: u64, buffer: &mut [u8]) -> io::Result<bool> {
    if range.end.saturating_sub(at) < buffer.len() as u64 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(buffer)?;
    Ok(true)
}
