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

/// Largest index of an MPEG-4; an hour of AAC needs less than 1 MB, covers inside it aside.
const MAX_MOOV_LEN: u64 = 64 * 1024 * 1024;

/// What became of the search for audio behind a header.
pub(crate) enum Found {
    /// Audio, to be read through this.
    Audio(Window),
    /// The file ends before its header does, or before any audio.
    Cut,
    /// The header describes no audio that can be.
    Nonsense,
}

/// The frames of a FLAC behind its STREAMINFO.
///
/// Layout: "fLaC", then blocks of one byte of type (the top bit marks the last), three of length,
/// and a body; STREAMINFO comes first and has 34 bytes (RFC 9639 section 8).
pub(crate) fn flac(mut file: File, range: Range<u64>) -> io::Result<Found> {
    const STREAMINFO_LEN: u8 = 34;
    let mut head = [0; 8 + STREAMINFO_LEN as usize];
    if !read_at(&mut file, &range, range.start, &mut head)? {
        return Ok(Found::Cut);
    }
    if head[4] & 0x7F != 0 || head[5..8] != [0, 0, STREAMINFO_LEN] {
        return Ok(Found::Nonsense);
    }
    let mut at = range.start + head.len() as u64;
    let mut is_last = head[4] & 0x80 != 0;
    head[4] |= 0x80;
    for _ in 0..MAX_BLOCKS {
        // A block's header, or the first bytes of a frame.
        let mut next = [0; 4];
        if !read_at(&mut file, &range, at, &mut next)? {
            return Ok(Found::Cut);
        }
        if is_last {
            // Frames that start like this have one size, up to the last. Where an encoder took that
            // last one for the smallest block, the decoder would expect sizes to vary and know none
            // of the frames.
            if next.starts_with(&[0xFF, 0xF8]) {
                head.copy_within(10..12, 8);
            }
            return Window::behind(head.to_vec(), file, at..range.end).map(Found::Audio);
        }
        is_last = next[0] & 0x80 != 0;
        at += 4 + u64::from(u32::from_be_bytes([0, next[1], next[2], next[3]]));
    }
    Ok(Found::Nonsense)
}

/// The data of a RIFF WAVE behind the description of its samples.
pub(crate) fn wave(mut file: File, range: Range<u64>) -> io::Result<Found> {
    let (head, audio) = match chunks(&mut file, &range, [b"fmt ", b"data"], u32::from_le_bytes)? {
        Chunks::Found(head, audio) => (head, audio),
        Chunks::Cut => return Ok(Found::Cut),
        Chunks::Nonsense => return Ok(Found::Nonsense),
    };
    // In the chunk: coding, channels, rate, byte rate, block length, bits (two bytes each but for
    // the rates).
    let Some(&[_, _, channels, channels_high, .., bits, bits_high]) =
        head[FORMAT_AT..].first_chunk::<16>()
    else {
        return Ok(Found::Nonsense);
    };
    let channels = u16::from_le_bytes([channels, channels_high]);
    let bits = u16::from_le_bytes([bits, bits_high]);
    behind_checked(head, file, audio, channels, bits)
}

/// The data of an AIFF or AIFF-C behind the description of its samples.
pub(crate) fn aiff(mut file: File, range: Range<u64>) -> io::Result<Found> {
    let (head, audio) = match chunks(&mut file, &range, [b"COMM", b"SSND"], u32::from_be_bytes)? {
        Chunks::Found(head, audio) => (head, audio),
        Chunks::Cut => return Ok(Found::Cut),
        Chunks::Nonsense => return Ok(Found::Nonsense),
    };
    // In the chunk: channels, frames (four bytes), bits, and the rate as an 80-bit float.
    let Some(&[channels, channels_low, _, _, _, _, bits, bits_low]) =
        head[FORMAT_AT..].first_chunk::<8>()
    else {
        return Ok(Found::Nonsense);
    };
    let channels = u16::from_be_bytes([channels, channels_low]);
    let bits = u16::from_be_bytes([bits, bits_low]);
    behind_checked(head, file, audio, channels, bits)
}

/// An MPEG-4 as it is, once its atoms are known to lie within it and its index to be of a size.
///
/// Layout: atoms of a length of four bytes and a name of four; a length of 1 is followed by the real
/// one in eight bytes, a length of 0 reaches to the end (ISO 14496-12 section 4.2).
pub(crate) fn mp4(mut file: File, range: Range<u64>) -> io::Result<Found> {
    let mut at = range.start;
    let mut has_index = false;
    for _ in 0..MAX_BLOCKS {
        if at == range.end {
            break;
        }
        let mut head = [0; 8];
        let mut long = [0; 8];
        if !read_at(&mut file, &range, at, &mut head)? {
            return Ok(Found::Cut);
        }
        let len = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => range.end - at,
            1 if !read_at(&mut file, &range, at + 8, &mut long)? => return Ok(Found::Cut),
            1 => u64::from_be_bytes(long),
            short => u64::from(short),
        };
        if len < 8 {
            return Ok(Found::Nonsense);
        }
        if len > range.end - at {
            return Ok(Found::Cut);
        }
        if head.ends_with(b"moov") {
            has_index = true;
            if len > MAX_MOOV_LEN {
                return Ok(Found::Nonsense);
            }
        }
        at += len;
    }
    if !has_index {
        return Ok(Found::Nonsense);
    }
    Window::over(file, range, true).map(Found::Audio)
}

/// Where the format chunk's body begins in the head that [`chunks`] returns.
const FORMAT_AT: usize = 20;

/// What became of the search for two chunks.
enum Chunks {
    /// A head (the file's own header and the format chunk), and the range that starts with the data
    /// chunk.
    Found(Vec<u8>, Range<u64>),
    Cut,
    Nonsense,
}

/// Finds a format chunk and the data chunk behind it in a file of chunks.
///
/// Layout: an id of four bytes, a length of four, a body padded to an even length; the whole file
/// is one such chunk, whose body starts with a kind of four bytes.
fn chunks(
    file: &mut File,
    range: &Range<u64>,
    [format, data]: [&[u8; 4]; 2],
    number: impl Fn([u8; 4]) -> u32,
) -> io::Result<Chunks> {
    let mut head = vec![0; 12];
    if !read_at(file, range, range.start, &mut head)? {
        return Ok(Chunks::Cut);
    }
    let mut at = range.start + 12;
    for _ in 0..MAX_BLOCKS {
        let mut chunk = [0; 8];
        if !read_at(file, range, at, &mut chunk)? {
            return Ok(Chunks::Cut);
        }
        let [id @ .., a, b, c, d] = chunk;
        let len = number([a, b, c, d]);
        let has_format = head.len() > 12;
        if id == *data && has_format {
            return Ok(Chunks::Found(head, at..range.end));
        }
        if id == *format && !has_format {
            if len > MAX_FORMAT_LEN {
                return Ok(Chunks::Nonsense);
            }
            let mut body = vec![0; len.next_multiple_of(2) as usize];
            if !read_at(file, range, at + 8, &mut body)? {
                return Ok(Chunks::Cut);
            }
            head.extend(chunk);
            head.extend(body);
        }
        at += 8 + u64::from(len) + u64::from(len % 2);
    }
    Ok(Chunks::Nonsense)
}

fn behind_checked(
    head: Vec<u8>,
    file: File,
    audio: Range<u64>,
    channels: u16,
    bits: u16,
) -> io::Result<Found> {
    if !CHANNELS.contains(&usize::from(channels)) || !SAMPLE_BITS.contains(&bits) {
        return Ok(Found::Nonsense);
    }
    Window::behind(head, file, audio).map(Found::Audio)
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

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::specimen;

    type Cut = fn(File, Range<u64>) -> io::Result<Found>;

    /// A short file of each container that is read here.
    static SOUND: LazyLock<[(Cut, Vec<u8>); 4]> = LazyLock::new(|| {
        let samples = specimen::tune(21, 1);
        let short = &samples[..2_000];
        [
            (flac as Cut, specimen::flac(short)),
            (wave, specimen::wav(short)),
            (aiff, specimen::aiff(short)),
            (mp4, specimen::m4a(short)),
        ]
    });

    /// What a demuxer gets to see of a file; nothing where its header is refused.
    fn seen(cut: Cut, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        let Found::Audio(mut window) = cut(file, 0..bytes.len() as u64).unwrap() else {
            return None;
        };
        let mut seen = Vec::new();
        window.read_to_end(&mut seen).unwrap();
        Some(seen)
    }

    #[test]
    fn what_stands_before_the_audio_is_left_out() {
        let [(flac, file), ..] = &*SOUND;
        let plain = seen(*flac, file).unwrap();
        // A block of comments behind STREAMINFO, which no longer is the last.
        let mut tagged = file[..42].to_vec();
        tagged[4] &= 0x7F;
        tagged.extend([4, 0, 0x10, 0]);
        tagged.resize(tagged.len() + 0x1000, b'x');
        tagged.extend(&file[42..]);
        if file[4] & 0x80 == 0 {
            // It was not the last before either: the blocks that follow still say which is.
            assert_eq!(seen(*flac, &tagged), Some(plain));
            return;
        }
        tagged[42] |= 0x80;
        assert_eq!(seen(*flac, &tagged), Some(plain));
    }

    proptest! {
        #[test]
        fn no_header_shows_more_than_its_file_has(
            which in 0usize..4,
            changes in prop::collection::vec((0usize..120, any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let (read, file) = &SOUND[which];
            let mut bytes = file.clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
                let Some(seen) = seen(*read, bytes) else { continue };
                prop_assert!(seen.len() <= bytes.len());
                prop_assert_eq!(&seen[..4], &bytes[..4]);
                // A head of ours, then the rest of the file.
                let head = MAX_FORMAT_LEN as usize + 20;
                prop_assert!(seen.len() <= head || bytes.ends_with(&seen[head..]));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(
            which in 0usize..4,
            start in prop::sample::select(vec![
                &b""[..], b"fLaC\0\0\0\x22", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0",
                b"FORM\0\0\0\0AIFFCOMM\0\0\0\x12", b"\0\0\0\x01moov", b"\0\0\0\x08ftyp\0\0\0\0moov",
            ]),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [start, &bytes].concat();
            let seen = seen(SOUND[which].0, &bytes);
            prop_assert!(seen.is_none_or(|seen| seen.len() <= bytes.len()));
        }
    }
}
