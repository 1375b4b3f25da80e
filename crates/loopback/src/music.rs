//! The demo's music: synthesised by us, so that it can be passed around, fingerprinted and told
//! apart with no one's copyright in it. Not a fixture of real recordings, and nothing here knows
//! about peers or releases. [`compose()`] writes the notes, [`encode_flac`] and [`encode_vorbis`]
//! make files of them; what a listener makes of those files is `audio::examine`.

mod compose;
mod encode;
mod score;

pub use compose::compose;
pub use encode::{encode_flac, encode_vorbis};

/// Sample rate of everything we compose, in Hz.
pub const SAMPLE_RATE_HZ: u32 = 44_100;

/// Channels of everything we compose: left, right.
pub const CHANNELS: u32 = 2;

/// Decoded audio: 16-bit samples, interleaved left and right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcm {
    /// Frames for each second, always [`SAMPLE_RATE_HZ`] when it comes from [`compose()`].
    pub sample_rate: u32,
    /// Samples in each frame, always [`CHANNELS`] when it comes from [`compose()`].
    pub channels: u32,
    /// Interleaved samples; the length is a multiple of `channels`.
    pub samples: Vec<i16>,
}

impl Pcm {
    /// Number of frames, that is samples for each channel.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.samples.len() / self.channels as usize
    }
}

#[cfg(test)]
mod tests;
