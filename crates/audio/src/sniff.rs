//! Names a file by its first bytes, before any decoder sees it. WavPack, Monkey's Audio, TAK and
//! OptimFROG carry a RIFF header inside them, which a prober that searches would take for WAV and
//! decode as noise; here they are refused by name. Decodes nothing: see [`crate::decode`].

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// A container we hand to a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// Native FLAC.
    Flac,
    /// Ogg, holding Vorbis or FLAC.
    Ogg,
    /// A bare MPEG audio stream: MP3, MP2 or MP1.
    Mp3,
    /// A bare AAC stream in ADTS frames.
    Adts,
    /// MPEG-4, holding AAC or ALAC.
    Mp4,
    /// RIFF WAVE.
    Wav,
    /// AIFF or AIFF-C.
    Aiff,
}

/// What the first bytes of a file say it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniffed {
    /// A container we decode, and the bytes it occupies once tags around it are left out.
    Audio(Container, Range<u64>),
    /// Audio in a format we have no decoder for.
    Refused(&'static str),
    /// Something else: a description, fit for a sentence.
    Foreign(&'static str),
}

/// Bytes looked at from the start of the container.
const HEAD_LEN: usize = 64;

/// ID3v2 tags that may stand before the audio; more than one is a mistake some taggers made.
const MAX_LEADING_TAGS: usize = 4;

/// Zero bytes that may stand before the first MPEG frame; taggers leave them when a tag shrinks.
const MAX_LEADING_ZEROS: u64 = 64 * 1024;

/// Sniffs a file, or whatever else can be read and sought in, from its start.
///
/// # Errors
/// Only those of reading; bytes we do not know are [`Sniffed::Foreign`].
pub fn sniff(file: &mut (impl Read + Seek)) -> io::Result<Sniffed> {
    let end = file.seek(SeekFrom::End(0))?;
    if end == 0 {
        return Ok(Sniffed::Foreign("an empty file"));
    }
    let mut start = 0;
    let mut head = read_head(file, start)?;
    for _ in 0..MAX_LEADING_TAGS {
        let Some(len) = id3v2_len(&head) else { break };
        start += len;
        head = read_head(file, start)?;
    }
    if start >= end {
        return Ok(Sniffed::Foreign("a tag with no audio behind it"));
    }
    if head[0] == 0 && container_of(&head).is_none() {
        start += leading_zeros(file, start)?;
        head = read_head(file, start)?;
        if head[0] == 0 {
            return Ok(Sniffed::Foreign("nothing but zero bytes"));
        }
        if mpeg_frame_len(&head).is_none() {
            return Ok(Sniffed::Foreign("zero bytes and then no audio we know"));
        }
    }
    if let Some(name) = refused_name(&head) {
        return Ok(Sniffed::Refused(name));
    }
    if let Some(container) = container_of(&head) {
        if container == Container::Ogg
            && let Some(name) = refused_ogg_name(&head)
        {
            return Ok(Sniffed::Refused(name));
        }
        let end = end - trailing_tags_len(file, start, end)?;
        return Ok(Sniffed::Audio(container, start..end));
    }
    if let Some(len) = mpeg_frame_len(&head) {
        // Eleven set bits are easily met by chance, so a second frame has to follow the first.
        let follows = start + len as u64;
        if follows >= end || mpeg_frame_len(&read_head(file, follows)?).is_some() {
            let end = end - trailing_tags_len(file, start, end)?;
            return Ok(Sniffed::Audio(Container::Mp3, start..end));
        }
    }
    Ok(Sniffed::Foreign(foreign_name(&head)))
}

/// Reads up to [`HEAD_LEN`] bytes; what lies past the end of the file stays zero.
fn read_head(file: &mut (impl Read + Seek), at: u64) -> io::Result<[u8; HEAD_LEN]> {
    file.seek(SeekFrom::Start(at))?;
    let mut head = [0; HEAD_LEN];
    let mut filled = 0;
    while filled < HEAD_LEN {
        match file.read(&mut head[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(head)
}

/// Length of the ID3v2 tag at the start of `head`, with its header and footer.
///
/// Layout: "ID3", two bytes of version, one of flags, four of seven bits each (ID3v2.4 section 3.1).
fn id3v2_len(head: &[u8; HEAD_LEN]) -> Option<u64> {
    let size = &head[6..10];
    let is_tag = head.starts_with(b"ID3") && head[3] < 0xFF && size.iter().all(|&b| b < 0x80);
    is_tag.then(|| {
        let body = size.iter().fold(0, |len, &byte| (len << 7) | u64::from(byte));
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        10 + body + footer
    })
}

fn leading_zeros(file: &mut (impl Read + Seek), start: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(start))?;
    let mut zeros = 0;
    let mut block = [0; 4_096];
    while zeros < MAX_LEADING_ZEROS {
        let count = file.read(&mut block)?;
        let nonzero = block[..count].iter().position(|&byte| byte != 0);
        zeros += nonzero.unwrap_or(count) as u64;
        if count == 0 || nonzero.is_some() {
            break;
        }
    }
    Ok(zeros)
}

/// Length of the ID3v1 and APEv2 tags at the end. A cover in them may hold an MPEG frame header.
fn trailing_tags_len(file: &mut (impl Read + Seek), start: u64, end: u64) -> io::Result<u64> {
    let mut len = 0;
    if end - start >= 128 && read_head(file, end - 128)?.starts_with(b"TAG") {
        len += 128;
    }
    // The APEv2 footer: "APETAGEX", version, size without the header, item count, flags.
    if end - start >= len + 32 {
        let footer = read_head(file, end - len - 32)?;
        if footer.starts_with(b"APETAGEX") {
            let size = u32::from_le_bytes([footer[12], footer[13], footer[14], footer[15]]);
            let header = if footer[23] & 0x80 != 0 { 32 } else { 0 };
            let tag = u64::from(size) + header;
            if tag <= end - start - len {
                len += tag;
            }
        }
    }
    Ok(len)
}

fn container_of(head: &[u8; HEAD_LEN]) -> Option<Container> {
    match head {
        [b'f', b'L', b'a', b'C', ..] => Some(Container::Flac),
        [b'O', b'g', b'g', b'S', ..] => Some(Container::Ogg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some(Container::Wav),
        [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => {
            Some(Container::Aiff)
        }
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(Container::Mp4),
        // ADTS: twelve set bits, the MPEG version, then two zero bits where MPEG audio has a layer.
        [0xFF, second, ..] if second & 0xF6 == 0xF0 => Some(Container::Adts),
        _ => None,
    }
}

fn refused_name(head: &[u8; HEAD_LEN]) -> Option<&'static str> {
    let named: [(&[u8], &str); 19] = [
        (b"wvpk", "WavPack"),
        (b"MAC ", "Monkey's Audio"),
        (b"tBaK", "TAK"),
        (b"OFR ", "OptimFROG"),
        (b"TTA1", "True Audio"),
        (b"TTA2", "True Audio"),
        (b"MPCK", "Musepack"),
        (b"MP+", "Musepack"),
        (b"DSD ", "DSF"),
        (b"FRM8", "DSDIFF"),
        (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "Windows Media Audio"),
        (b"\x0B\x77", "AC-3"),
        (b"\x7F\xFE\x80\x01", "DTS"),
        (b"ajkg", "Shorten"),
        (b"LA0", "Lossless Audio"),
        (b".ra\xFD", "RealAudio"),
        (b"RF64", "RF64"),
        // No music is published in these two; their demuxers are not worth being exposed to.
        (b"caff", "Core Audio Format"),
        (b"\x1A\x45\xDF\xA3", "Matroska"),
    ];
    named.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| name)
}

/// The codec in an Ogg stream's first packet, when it is one we cannot decode.
///
/// The packet starts behind the page header of 27 bytes and its segment table (RFC 3533 section 6).
fn refused_ogg_name(head: &[u8; HEAD_LEN]) -> Option<&'static str> {
    let packet = head.get(27 + usize::from(head[26])..)?;
    let named: [(&[u8], &str); 5] = [
        (b"OpusHead", "Opus"),
        (b"Speex   ", "Speex"),
        (b"\x80theora", "Theora video"),
        (b"fishead\0", "Ogg Skeleton"),
        (b"KW-DIRAC", "Dirac video"),
    ];
    named.into_iter().find(|(magic, _)| packet.starts_with(magic)).map(|(_, name)| name)
}

/// Says if the first packet of the Ogg stream that starts `range` is Vorbis.
pub(crate) fn is_vorbis(file: &mut (impl Read + Seek), range: &Range<u64>) -> io::Result<bool> {
    let head = read_head(file, range.start)?;
    let packet = head.get(27 + usize::from(head[26])..);
    Ok(packet.is_some_and(|packet| packet.starts_with(b"\x01vorbis")))
}

/// Length of the MPEG audio frame whose header `head` starts with (ISO 11172-3 section 2.4.1.3).
fn mpeg_frame_len(head: &[u8; HEAD_LEN]) -> Option<usize> {
    const KBIT: [[usize; 14]; 5] = [
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    if head[0] != 0xFF || head[1] & 0xE0 != 0xE0 {
        return None;
    }
    let (version, layer) = ((head[1] >> 3) & 3, (head[1] >> 1) & 3);
    let (bitrate, rate) = (usize::from(head[2] >> 4), usize::from((head[2] >> 2) & 3));
    if version == 1 || layer == 0 || bitrate == 0 || bitrate == 15 || rate == 3 {
        return None;
    }
    let is_mpeg1 = version == 3;
    let row = match (is_mpeg1, layer) {
        (true, 3) => 0,
        (true, 2) => 1,
        (true, _) => 2,
        (false, 3) => 3,
        (false, _) => 4,
    };
    let halvings = match version {
        3 => 0,
        2 => 1,
        _ => 2,
    };
    let hz = [44_100, 48_000, 32_000][rate] >> halvings;
    let bits = KBIT[row][bitrate - 1] * 1_000;
    let padding = usize::from((head[2] >> 1) & 1);
    Some(match layer {
        3 => (12 * bits / hz + padding) * 4,
        1 if !is_mpeg1 => 72 * bits / hz + padding,
        _ => 144 * bits / hz + padding,
    })
}

fn foreign_name(head: &[u8; HEAD_LEN]) -> &'static str {
    let named: [(&[u8], &str); 13] = [
        (b"PK\x03\x04", "a zip archive"),
        (b"Rar!", "a rar archive"),
        (b"7z\xBC\xAF\x27\x1C", "a 7-zip archive"),
        (b"\x1F\x8B", "a gzip archive"),
        (b"\x89PNG", "a picture"),
        (b"\xFF\xD8\xFF", "a picture"),
        (b"GIF8", "a picture"),
        (b"%PDF", "a pdf document"),
        (b"MThd", "a midi file, which has notes but no sound"),
        (b"MZ", "a program"),
        (b"\x7FELF", "a program"),
        (b"RIFF", "a riff file other than wave"),
        (b"FORM", "an iff file other than aiff"),
    ];
    if let Some((_, name)) = named.into_iter().find(|(magic, _)| head.starts_with(magic)) {
        return name;
    }
    let text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7E);
    if head.iter().all(text) { "text" } else { "bytes of no audio format we know" }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8]) -> Sniffed {
        sniff(&mut Cursor::new(bytes)).unwrap()
    }

    /// An MPEG-1 layer 3 frame of 128 kbit/s at 44.1 kHz with nothing in it.
    fn mp3_frame() -> Vec<u8> {
        let mut frame = vec![0; 417];
        frame[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x00]);
        frame
    }

    #[test]
    fn containers_are_named_by_their_first_bytes() {
        let cases: [(&[u8], Container); 6] = [
            (b"fLaC", Container::Flac),
            (b"OggS\0\x02", Container::Ogg),
            (b"RIFF\0\0\0\0WAVE", Container::Wav),
            (b"FORM\0\0\0\0AIFC", Container::Aiff),
            (b"\0\0\0\x1CftypM4A ", Container::Mp4),
            (b"\xFF\xF1", Container::Adts),
        ];
        for (bytes, container) in cases {
            assert_eq!(of(bytes), Sniffed::Audio(container, 0..bytes.len() as u64));
        }
    }

    #[test]
    fn formats_that_hide_a_wave_header_are_refused() {
        let hidden = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xAC\0\0";
        for (magic, name) in [
            (b"wvpk", "WavPack"),
            (b"MAC ", "Monkey's Audio"),
            (b"tBaK", "TAK"),
            (b"OFR ", "OptimFROG"),
        ] {
            assert_eq!(of(&[&magic[..], &[0; 40], hidden].concat()), Sniffed::Refused(name));
        }
    }

    #[test]
    fn ogg_is_refused_for_the_codecs_we_lack() {
        let page = |packet: &[u8]| {
            let mut page = b"OggS\0\x02".to_vec();
            page.extend([0; 20]);
            page.extend([1, packet.len() as u8]);
            [&page, packet].concat()
        };
        assert_eq!(of(&page(b"OpusHead\x01\x02")), Sniffed::Refused("Opus"));
        assert!(matches!(of(&page(b"\x01vorbis")), Sniffed::Audio(Container::Ogg, _)));
    }

    #[test]
    fn tags_around_the_audio_are_left_out() {
        let frames = [mp3_frame(), mp3_frame()].concat();
        let id3v2 = b"ID3\x04\0\0\0\0\x01\x00".iter().copied().chain([0; 128]).collect();
        let id3v1: Vec<u8> = b"TAG".iter().copied().chain([0; 125]).collect();
        let mut ape = b"APETAGEX\xD0\x07\0\0\x20\0\0\0".to_vec();
        ape.extend([0; 16]);
        let file = [id3v2, frames.clone(), ape, id3v1].concat();
        let audio = 138..138 + frames.len() as u64;
        assert_eq!(of(&file), Sniffed::Audio(Container::Mp3, audio));
        let padded = [vec![0; 700], frames.clone()].concat();
        assert_eq!(of(&padded), Sniffed::Audio(Container::Mp3, 700..700 + frames.len() as u64));
    }

    #[test]
    fn a_frame_header_with_no_frame_behind_it_is_chance() {
        let mut bytes = mp3_frame();
        bytes.extend([7; 100]);
        assert_eq!(of(&bytes), Sniffed::Foreign("bytes of no audio format we know"));
    }

    proptest! {
        #[test]
        fn the_audio_is_within_the_file(
            magic in prop::sample::select(vec![
                &b""[..], b"ID3\x04\0\0", b"fLaC", b"OggS", b"\xFF\xFB\x90", b"TAG", b"\0\0",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..400),
            tail in prop::sample::select(vec![&b""[..], b"APETAGEX", b"TAG"]),
            end in prop::collection::vec(any::<u8>(), 0..140),
        ) {
            let bytes = [magic, &rest, tail, &end].concat();
            if let Sniffed::Audio(_, range) = of(&bytes) {
                prop_assert!(range.start <= range.end && range.end <= bytes.len() as u64);
            }
        }
    }
}
