//! What a file of music is: codec, its parameters, and how it sounds (its fingerprint).

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

/// The coding of the audio, apart from the container around it.
#[derive(
    Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Codec {
    /// Free Lossless Audio Codec.
    Flac,
    /// Apple Lossless.
    Alac,
    /// Uncompressed samples (WAV, AIFF, CAF).
    Pcm,
    /// MPEG-1/2 layer III.
    Mp3,
    /// Advanced Audio Coding.
    Aac,
    /// Vorbis.
    Vorbis,
    /// Opus.
    Opus,
    /// Anything else that could be decoded.
    Other,
}

impl Codec {
    /// True when decoding gives back the very samples that were encoded.
    #[must_use]
    pub const fn is_lossless(self) -> bool {
        matches!(self, Self::Flac | Self::Alac | Self::Pcm)
    }

    /// Guess from the ending of a file name; `None` when the ending is not one of audio.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "flac" => Self::Flac,
            "wav" | "aif" | "aiff" => Self::Pcm,
            "mp3" => Self::Mp3,
            // An .m4a may hold either; AAC is by far the more common.
            "m4a" | "aac" | "mp4" => Self::Aac,
            "ogg" | "oga" => Self::Vorbis,
            "opus" => Self::Opus,
            _ => return None,
        })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flac => "flac",
            Self::Alac => "alac",
            Self::Pcm => "pcm",
            Self::Mp3 => "mp3",
            Self::Aac => "aac",
            Self::Vorbis => "vorbis",
            Self::Opus => "opus",
            Self::Other => "other",
        })
    }
}

/// The parameters that make two encodes of one recording comparable.
#[derive(
    Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct CodecProfile {
    /// The coding.
    pub codec: Codec,
    /// Samples per second and channel.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: u16,
    /// Bits per sample, for codecs that have such a thing.
    pub bit_depth: Option<u16>,
}

impl fmt::Display for CodecProfile {
    /// `flac-16-44100`, the seed design's notation; lossy codecs have no depth: `vorbis-44100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bit_depth {
            Some(depth) => write!(f, "{}-{depth}-{}", self.codec, self.sample_rate_hz),
            None => write!(f, "{}-{}", self.codec, self.sample_rate_hz),
        }
    }
}

/// A Chromaprint fingerprint (algorithm 1): a sequence of 32-bit items, one per 0.1238 s, of the
/// first 120 s.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub Vec<u32>);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({} items)", self.0.len())
    }
}

/// What decoding a whole file told about it.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub struct Examined {
    /// Codec and its parameters.
    pub profile: CodecProfile,
    /// Length of the decoded audio in milliseconds.
    pub duration_ms: u64,
    /// How its first 120 s sound.
    pub fingerprint: Fingerprint,
}

/// Why a file that arrived whole is not music we can vouch for.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum AudioFault {
    /// The bytes are of no audio format we know, or of one we name but do not decode.
    NotDecodable(String),
    /// The decoder met damage, at this place, in milliseconds from the start.
    Damaged {
        /// How much decoded before the damage.
        at_ms: u64,
        /// The decoder's words.
        detail: String,
    },
    /// The file declares more audio than it holds; how much of each.
    Truncated(String),
    /// Silence, or too short to be told from other recordings.
    NotIdentifiable(String),
}

impl fmt::Display for AudioFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDecodable(detail) => write!(f, "not decodable: {detail}"),
            Self::Damaged { at_ms, detail } => {
                write!(f, "damaged at {}.{} s: {detail}", at_ms / 1000, at_ms % 1000 / 100)
            }
            Self::Truncated(detail) => f.write_str(detail),
            Self::NotIdentifiable(detail) => write!(f, "not identifiable: {detail}"),
        }
    }
}
