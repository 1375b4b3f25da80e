//! Walks the pages of an Ogg file before it is demuxed. Its length is written nowhere but in its last
//! page, so a file cut short looks like a shorter one unless one asks for the end-of-stream mark, and
//! a demuxer steps over a page whose checksum is wrong without a word. Packets are put together only
//! as far as [`crate::vorbis`] must see them; the audio is demuxed in [`crate::decode`].

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

/// Longest setup header we accept; the encoders in use write about 5 kB.
const MAX_SETUP_LEN: usize = 256 * 1024;

/// What the pages of a file come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Where the last page ends that is as it should be.
    pub end: u64,
    pub ending: Ending,
    /// The third packet, which holds the codebooks if this is Vorbis; empty when it is too long.
    pub setup: Vec<u8>,
}

/// How the pages of a file end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a page marked as the last of its stream.
    Whole,
    /// Without one: the file was cut between pages or inside one.
    Cut,
    /// In the middle of the file, where a page is missing, out of order or has a wrong checksum.
    Broken,
    /// With pages of a second stream, beside the first or behind it.
    Several,
}

/// The header of a page and the lengths of its segments.
///
/// Layout: "OggS", version, flags (2 starts a stream, 4 ends it), position (8), serial (4),
/// sequence (4), checksum (4), the number of segments, their lengths (RFC 3533 section 6).
struct Page {
    bytes: Vec<u8>,
}

impl Page {
    const HEADER_LEN: usize = 27;

    fn flags(&self) -> u8 {
        self.bytes[5]
    }

    fn serial(&self) -> &[u8] {
        &self.bytes[14..18]
    }

    fn sequence(&self) -> u32 {
        u32::from_le_bytes([self.bytes[18], self.bytes[19], self.bytes[20], self.bytes[21]])
    }

    fn segments(&self) -> &[u8] {
        &self.bytes[Self::HEADER_LEN..][..usize::from(self.bytes[26])]
    }

    fn body(&self) -> &[u8] {
        &self.bytes[Self::HEADER_LEN + self.segments().len()..]
    }

    fn has_right_checksum(&self) -> bool {
        // The checksum is of the page with zeros where the checksum will be.
        let (before, rest) = self.bytes.split_at(22);
        let (written, after) = rest.split_at(4);
        let parts = [before, &[0; 4], after];
        let sum = parts.into_iter().fold(0, checksum);
        sum.to_le_bytes() == written
    }
}

/// Walks all pages in `range`. What lies behind the end of the stream is not looked at, unless it is
/// another stream.
pub(crate) fn walk(file: &mut (impl Read + Seek), range: &Range<u64>) -> io::Result<Walk> {
    file.seek(SeekFrom::Start(range.start))?;
    let mut reader = BufReader::with_capacity(64 * 1024, file.take(range.end - range.start));
    let mut end = range.start;
    let mut setup = Setup { packet: 0, bytes: Vec::new() };
    let mut stream: Option<(Vec<u8>, u32)> = None;
    let ending = loop {
        let left = range.end - end;
        let page = match read_page(&mut reader)? {
            Some(page) => page,
            // No page has more than 65,307 bytes: with more than that left, this is no cut.
            None if left > 65_307 => break Ending::Broken,
            None => break Ending::Cut,
        };
        if !page.bytes.starts_with(b"OggS\0") || !page.has_right_checksum() {
            break Ending::Broken;
        }
        match &mut stream {
            None => stream = Some((page.serial().to_vec(), page.sequence())),
            Some((serial, _)) if serial != page.serial() => break Ending::Several,
            Some(_) if page.flags() & 2 != 0 => break Ending::Several,
            Some((_, sequence)) => {
                *sequence = sequence.wrapping_add(1);
                if *sequence != page.sequence() {
                    break Ending::Broken;
                }
            }
        }
        setup.read(&page);
        end += page.bytes.len() as u64;
        if page.flags() & 4 != 0 {
            let follows = read_page(&mut reader)?;
            let is_chain = follows.is_some_and(|page| page.bytes.starts_with(b"OggS"));
            break if is_chain { Ending::Several } else { Ending::Whole };
        }
    };
    Ok(Walk { end, ending, setup: setup.bytes })
}

/// Reads a page; nothing when the file ends before the page does, or the bytes are no page at all.
fn read_page(reader: &mut impl Read) -> io::Result<Option<Page>> {
    let mut bytes = vec![0; Page::HEADER_LEN];
    if !fill(reader, &mut bytes)? {
        return Ok(None);
    }
    let segments = usize::from(bytes[26]);
    bytes.resize(Page::HEADER_LEN + segments, 0);
    if !fill(reader, &mut bytes[Page::HEADER_LEN..])? {
        return Ok(None);
    }
    let body: usize = bytes[Page::HEADER_LEN..].iter().copied().map(usize::from).sum();
    let header = bytes.len();
    bytes.resize(header + body, 0);
    Ok(fill(reader, &mut bytes[header..])?.then_some(Page { bytes }))
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Picks the third packet out of the pages. A packet ends with a segment shorter than 255.
struct Setup {
    /// Number of the packet the next segment belongs to, from 0.
    packet: usize,
    bytes: Vec<u8>,
}

impl Setup {
    fn read(&mut self, page: &Page) {
        let mut body = page.body();
        for &len in page.segments() {
            if self.packet > 2 {
                return;
            }
            let (segment, rest) = body.split_at(usize::from(len));
            body = rest;
            if self.packet == 2 {
                self.bytes.extend_from_slice(segment);
            }
            if len < 255 {
                self.packet += 1;
            }
            if self.bytes.len() > MAX_SETUP_LEN {
                self.bytes.clear();
                self.packet = 3;
            }
        }
    }
}

/// Ogg's CRC-32: polynomial 0x04C11DB7, highest bit first, nothing inverted.
fn checksum(start: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut remainder = (byte as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                let carry = remainder & 0x8000_0000 != 0;
                remainder = (remainder << 1) ^ if carry { 0x04C1_1DB7 } else { 0 };
                bit += 1;
            }
            table[byte] = remainder;
            byte += 1;
        }
        table
    };
    bytes.iter().fold(start, |crc, &byte| (crc << 8) ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::specimen::{tune, vorbis};

    fn walk_all(file: &[u8]) -> Walk {
        walk(&mut Cursor::new(file), &(0..file.len() as u64)).unwrap()
    }

    /// Where the pages of a file start.
    fn page_starts(file: &[u8]) -> Vec<usize> {
        let starts = file.windows(5).enumerate().filter(|(_, window)| window == b"OggS\0");
        starts.map(|(at, _)| at).collect()
    }

    #[test]
    fn a_whole_stream_is_walked_to_its_last_page() {
        let file = vorbis(&tune(40, 3));
        let whole = walk_all(&file);
        assert_eq!((whole.end, whole.ending), (file.len() as u64, Ending::Whole));
        assert!(whole.setup.starts_with(b"\x05vorbis"));
        assert!(crate::vorbis::has_sound_codebooks(&whole.setup));
        let trailed = walk_all(&[&file[..], &[9; 5_000]].concat());
        assert_eq!((trailed.end, trailed.ending), (file.len() as u64, Ending::Whole));
    }

    #[test]
    fn a_cut_is_told_between_pages_and_inside_one() {
        let file = vorbis(&tune(41, 3));
        let last = *page_starts(&file).last().unwrap();
        for end in [last, last + 10, last + 40, file.len() - 1] {
            let cut = walk_all(&file[..end]);
            assert_eq!((cut.end, cut.ending), (last as u64, Ending::Cut), "{end}");
        }
    }

    #[test]
    fn a_flipped_bit_and_a_lost_page_are_breaks() {
        let file = vorbis(&tune(42, 3));
        let starts = page_starts(&file);
        let mut flipped = file.clone();
        flipped[starts[3] + 100] ^= 1;
        let broken = walk_all(&flipped);
        assert_eq!((broken.end, broken.ending), (starts[3] as u64, Ending::Broken));
        let lost = [&file[..starts[3]], &file[starts[4]..]].concat();
        assert_eq!(walk_all(&lost).ending, Ending::Broken);
    }

    #[test]
    fn a_second_stream_is_noticed() {
        let file = vorbis(&tune(43, 3));
        assert_eq!(walk_all(&[&file[..], &file[..]].concat()).ending, Ending::Several);
    }
    static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| vorbis(&tune(44, 1)));

    /// Pages with right checksums, whatever else is in them.
    fn pages() -> impl Strategy<Value = Vec<u8>> {
        let page = (
            prop::sample::select(vec![0u8, 2, 4, 6]),
            0u8..2,
            0u32..3,
            prop::collection::vec(prop_oneof![Just(255u8), any::<u8>()], 0..5),
        );
        prop::collection::vec(page, 0..6).prop_map(|pages| {
            let mut file = Vec::new();
            for (flags, serial, sequence, lens) in pages {
                let mut page = b"OggS\0".to_vec();
                page.push(flags);
                page.extend([0; 8]);
                page.extend([serial, 0, 0, 0]);
                page.extend(sequence.to_le_bytes());
                page.extend([0; 4]);
                page.push(lens.len() as u8);
                let body: usize = lens.iter().copied().map(usize::from).sum();
                page.extend(lens);
                page.resize(page.len() + body, 5);
                let sum = checksum(0, &page);
                page[22..26].copy_from_slice(&sum.to_le_bytes());
                file.extend(page);
            }
            file
        })
    }

    proptest! {
        #[test]
        fn a_walk_ends_within_the_file_and_alone_ends_there_too(
            file in pages(), cut in any::<prop::sample::Index>(),
        ) {
            for file in [&file[..], &file[..cut.index(file.len() + 1)]] {
                let walk = walk_all(file);
                prop_assert!(walk.end <= file.len() as u64 && walk.setup.len() <= MAX_SETUP_LEN);
                let alone = walk_all(&file[..walk.end as usize]);
                prop_assert_eq!((alone.end, alone.setup), (walk.end, walk.setup));
            }
        }

        #[test]
        fn a_changed_byte_is_a_break_where_it_is(at in any::<prop::sample::Index>(), other in 1u8..) {
            let mut file = SOUND.clone();
            let at = at.index(file.len());
            file[at] ^= other;
            let walk = walk_all(&file);
            prop_assert_ne!(walk.ending, Ending::Whole);
            prop_assert!(walk.end <= at as u64);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let whole = walk_all(&bytes);
            prop_assert_eq!(whole.end, 0);
            walk_all(&[b"OggS\0", &bytes[..]].concat());
        }
    }
}
