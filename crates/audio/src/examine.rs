//! Asks everything of a file in one pass: what it is, whether all of it decodes, how long it is and
//! which recording it sounds like. The whole file is read, because a download that breaks after two
//! minutes is as useless as one that never began. Memory stays bounded by one block of audio.
//! How samples are won is in [`crate::decode`], what is made of them in [`crate::fingerprint`].

use std::io;
use std::path::Path;

use crate::decode::{Codec, Stream, ms};
use crate::fingerprint::Listener;

/// Loudest sample of audio that we call silent, of 32,768: 60 dB below full scale.
const SILENCE_PEAK: u32 = 32;

/// What a whole and audible file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// How the audio is coded.
    pub codec: Codec,
    /// Frames for each second.
    pub sample_rate_hz: u32,
    /// Samples in each frame.
    pub channels: u32,
    /// Bits of each sample; nothing for a lossy codec, which has no such thing.
    pub bit_depth: Option<u32>,
    /// Frames the headers promise, without encoder delay and padding; nothing when they are silent.
    pub declared_frames: Option<u64>,
    /// Frames that came out of the decoder.
    pub decoded_frames: u64,
    /// Playing time of the decoded frames.
    pub duration_ms: u64,
    /// Chromaprint of the first [`FINGERPRINTED_SECONDS`](crate::FINGERPRINTED_SECONDS), one item
    /// for each 0.124 s; never empty.
    pub fingerprint: Vec<u32>,
    /// BLAKE3 of the decoded samples, 32-bit little-endian and interleaved. Equal for lossless files
    /// of the same audio, whatever the format, encoder and tags.
    pub pcm_blake3: [u8; 32],
}

/// Why a file is not a whole, audible piece of music.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The bytes are something else.
    #[error("not audio but {0}")]
    NotAudio(&'static str),
    /// Audio, but of a kind we have no decoder for.
    #[error("no decoder for {0}")]
    Unsupported(String),
    /// The file stops before its audio does.
    #[error("cut short: {}", shortfall(*declared_frames, *decoded_frames))]
    Truncated {
        /// Frames the headers promise, where they do.
        declared_frames: Option<u64>,
        /// Frames there were.
        decoded_frames: u64,
    },
    /// The file is as long as it should be, but part of it makes no sense.
    #[error("damaged{}: {detail}", place(*at_ms))]
    Damaged {
        /// Playing time at which the damage begins; nothing when only a checksum tells of it.
        at_ms: Option<u64>,
        /// What the decoder met.
        detail: String,
    },
    /// Nothing can be heard, so nothing can be recognised.
    #[error("silent: no sample rises above -60 dB")]
    Silent,
    /// Too little audio for a single item of a fingerprint.
    #[error("too short to be recognised: {duration_ms} ms")]
    TooShort {
        /// Playing time there was.
        duration_ms: u64,
    },
    /// The file could not be read.
    #[error("cannot read the file")]
    Io(#[from] io::Error),
}

/// Examines the file at `path`, reading all of it, an Ogg twice. Blocks for about a second per ten
/// minutes of FLAC, so call it from a thread that may.
///
/// # Errors
/// See [`ExamineError`]. A file that is both damaged and cut short is reported as damaged when sound
/// follows the damage.
pub fn examine(path: &Path) -> Result<Examined, ExamineError> {
    let mut stream = Stream::open(path)?;
    let mut listener = None;
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::new();
    let mut peak = 0;
    while let Some(block) = stream.next_block()? {
        if listener.is_none() {
            listener = Listener::new(block.sample_rate_hz, block.channels);
        }
        let listener = listener.as_mut().ok_or_else(|| {
            ExamineError::Unsupported(format!("a sample rate of {} Hz", block.sample_rate_hz))
        })?;
        listener.hear(block.samples);
        bytes.clear();
        bytes.extend(block.samples.iter().flat_map(|sample| sample.to_le_bytes()));
        hasher.update(&bytes);
        peak = block.samples.iter().fold(peak, |peak, sample| sample.unsigned_abs().max(peak));
    }
    let ending = stream.finish()?;
    let declared_frames = ending.declared_frames;
    let decoded_frames = ending.decoded_frames;
    if ending.is_cut {
        return Err(ExamineError::Truncated { declared_frames, decoded_frames });
    }
    let duration_ms = ms(decoded_frames, ending.sample_rate_hz);
    let Some(listener) = listener else {
        return Err(ExamineError::TooShort { duration_ms });
    };
    // Peaks are of 31 bits, the threshold of 15.
    if peak >> 16 <= SILENCE_PEAK {
        return Err(ExamineError::Silent);
    }
    let fingerprint = listener.finish();
    if fingerprint.is_empty() {
        return Err(ExamineError::TooShort { duration_ms });
    }
    Ok(Examined {
        codec: ending.codec,
        sample_rate_hz: ending.sample_rate_hz,
        channels: u32::try_from(ending.channels).expect("the number of channels is bounded"),
        bit_depth: ending.bit_depth,
        declared_frames,
        decoded_frames,
        duration_ms,
        fingerprint,
        pcm_blake3: *hasher.finalize().as_bytes(),
    })
}

fn shortfall(declared_frames: Option<u64>, decoded_frames: u64) -> String {
    match declared_frames {
        Some(declared) => format!("{decoded_frames} of {declared} frames"),
        None => format!("{decoded_frames} frames, and more were to come"),
    }
}

fn place(at_ms: Option<u64>) -> String {
    at_ms.map(|at_ms| format!(" at {at_ms} ms")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
