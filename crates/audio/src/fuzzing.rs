//! Doors for the targets in `fuzz/targets`: the parsers that only [`crate::decode`] calls. Compiled
//! for them and for nobody else.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::ops::Range;

use crate::header::{self, Found};
use crate::{Container, ogg, vorbis};

/// The end of an Ogg's last good page and its third packet.
pub fn walk(file: &[u8]) -> (u64, Vec<u8>) {
    let range = 0..file.len() as u64;
    let walk = ogg::walk(&mut Cursor::new(file), &range).expect("memory is readable");
    (walk.end, walk.setup)
}

/// Says if a Vorbis setup header has codebooks that can be decoded.
pub fn has_sound_codebooks(setup: &[u8]) -> bool {
    vorbis::has_sound_codebooks(setup)
}

/// What a demuxer would read of a file with this container; nothing where its header is refused.
///
/// # Errors
/// Those of reading.
pub fn behind_header(
    container: Container,
    file: File,
    range: Range<u64>,
) -> io::Result<Option<Vec<u8>>> {
    let found = match container {
        Container::Flac => header::flac(file, range)?,
        Container::Wav => header::wave(file, range)?,
        Container::Aiff => header::aiff(file, range)?,
        Container::Mp4 => header::mp4(file, range)?,
        Container::Ogg | Container::Mp3 | Container::Adts => Found::Nonsense,
    };
    let Found::Audio(mut window) = found else { return Ok(None) };
    let mut bytes = Vec::new();
    window.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
