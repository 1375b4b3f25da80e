//! What the headers of a music file say about its sound. Nothing is decoded and nothing is proved: this is
//! what a list of files may tell, and [`crate::examine()`] is what may be relied on.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use lofty::config::ParseOptions;
use lofty::file::AudioFile;
use lofty::probe::Probe;

/// What the headers say; any may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties {
    /// Kilobits per second.
    pub bitrate_kbps: Option<u32>,
    /// Length in seconds.
    pub duration_s: Option<u32>,
    /// Hertz.
    pub sample_rate_hz: Option<u32>,
    /// Bits per sample; only where samples have a size.
    pub bit_depth: Option<u32>,
}

/// Reads the headers of the file at `path`; `None` when it is no music or cannot be read.
#[must_use]
pub fn properties(path: &Path) -> Option<Properties> {
    let parsed = Probe::new(BufReader::new(File::open(path).ok()?))
        .options(ParseOptions::new().read_tags(false).read_cover_art(false))
        .guess_file_type()
        .ok()?
        .read()
        .ok()?;
    let of = parsed.properties();
    Some(Properties {
        bitrate_kbps: of.audio_bitrate().filter(|&kbps| kbps > 0),
        duration_s: u32::try_from(of.duration().as_secs()).ok().filter(|&seconds| seconds > 0),
        sample_rate_hz: of.sample_rate(),
        bit_depth: of.bit_depth().map(u32::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_music_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("song.flac");
        std::fs::write(&path, b"fLaC and nothing else").unwrap();
        assert_eq!(properties(&path), None);
        assert_eq!(properties(&dir.path().join("none")), None);
    }
}
