//! Decodes a file from its first frame to its last, block by block, and notices where the stream
//! does not hold together. Keeps no audio. What a break means for the file is decided in
//! [`crate::examine()`].

use std::fmt;
use std::fs::File;
use std::path::Path;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known as id,
};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use crate::ExamineError;
use crate::header::{self, CHANNELS, Found, SAMPLE_RATES_HZ};
use crate::ogg;
use crate::sniff::{self, Container, Sniffed};
use crate::vorbis;
use crate::window::Window;

/// How a stream's audio is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Free Lossless Audio Codec.
    Flac,
    /// Apple Lossless.
    Alac,
    /// Samples as they are.
    Pcm,
    /// Adaptive differential PCM, which is lossy.
    Adpcm,
    /// MPEG audio layer 1.
    Mp1,
    /// MPEG audio layer 2.
    Mp2,
    /// MPEG audio layer 3.
    Mp3,
    /// Advanced Audio Coding. High-efficiency AAC is decoded as its core, at half the rate.
    Aac,
    /// Vorbis.
    Vorbis,
}

impl Codec {
    /// Says if decoding gives back exactly what was encoded.
    #[must_use]
    pub fn is_lossless(self) -> bool {
        match self {
            Self::Flac | Self::Alac | Self::Pcm => true,
            Self::Adpcm | Self::Mp1 | Self::Mp2 | Self::Mp3 | Self::Aac | Self::Vorbis => false,
        }
    }

    fn of(codec: AudioCodecId) -> Option<Self> {
        match codec {
            id::CODEC_ID_FLAC => Some(Self::Flac),
            id::CODEC_ID_ALAC => Some(Self::Alac),
            id::CODEC_ID_MP1 => Some(Self::Mp1),
            id::CODEC_ID_MP2 => Some(Self::Mp2),
            id::CODEC_ID_MP3 => Some(Self::Mp3),
            id::CODEC_ID_AAC => Some(Self::Aac),
            id::CODEC_ID_VORBIS => Some(Self::Vorbis),
            other if (id::CODEC_ID_PCM_S32LE..=id::CODEC_ID_PCM_MULAW).contains(&other) => {
                Some(Self::Pcm)
            }
            other if (id::CODEC_ID_ADPCM_G722..=id::CODEC_ID_ADPCM_IMA_QT).contains(&other) => {
                Some(Self::Adpcm)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flac => "flac",
            Self::Alac => "alac",
            Self::Pcm => "pcm",
            Self::Adpcm => "adpcm",
            Self::Mp1 => "mp1",
            Self::Mp2 => "mp2",
            Self::Mp3 => "mp3",
            Self::Aac => "aac",
            Self::Vorbis => "vorbis",
        })
    }
}

/// A file opened for decoding, and what its headers claim.
pub(crate) struct Stream {
    codec: Codec,
    sample_rate_hz: u32,
    channels: usize,
    bit_depth: Option<u32>,
    declared_frames: Option<u64>,
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    decoded_frames: u64,
    /// Position in timestamps at which the next packet is due, where they count frames.
    due: Option<i64>,
    samples: Vec<i32>,
    /// The first break, until audio that follows it proves that it was no mere end.
    broken: Option<Break>,
    /// How the pages end that it is read from, if it is Ogg.
    pages: ogg::Ending,
}

/// Where a stream stopped making sense.
struct Break {
    at_frame: u64,
    detail: String,
}

impl Break {
    fn as_damage(&self, sample_rate_hz: u32) -> ExamineError {
        let at_ms = Some(ms(self.at_frame, sample_rate_hz));
        ExamineError::Damaged { at_ms, detail: self.detail.clone() }
    }
}

/// A stretch of decoded audio.
pub(crate) struct Block<'a> {
    /// Interleaved samples of whole frames, scaled to 32 bits.
    pub samples: &'a [i32],
    pub sample_rate_hz: u32,
    pub channels: usize,
}

/// A stream that was decoded to its end.
pub(crate) struct Ending {
    pub codec: Codec,
    pub sample_rate_hz: u32,
    pub channels: usize,
    pub bit_depth: Option<u32>,
    /// Frames the headers promise, where they do and the promise is not a guess.
    pub declared_frames: Option<u64>,
    pub decoded_frames: u64,
    /// The file stops before its stream does.
    pub is_cut: bool,
}

impl Stream {
    pub(crate) fn open(path: &Path) -> Result<Self, ExamineError> {
        let mut file = File::open(path)?;
        let (container, range) = match sniff::sniff(&mut file)? {
            Sniffed::Audio(container, range) => (container, range),
            Sniffed::Refused(name) => return Err(ExamineError::Unsupported(name.to_owned())),
            Sniffed::Foreign(found) => return Err(ExamineError::NotAudio(found)),
        };
        let mut pages = ogg::Ending::Whole;
        let mut range = range;
        if container == Container::Ogg {
            let walk = ogg::walk(&mut file, &range)?;
            if walk.ending == ogg::Ending::Several {
                return Err(ExamineError::Unsupported("several streams in one Ogg".to_owned()));
            }
            if walk.setup.is_empty() && walk.ending == ogg::Ending::Cut {
                return Err(cut_header());
            }
            if sniff::is_vorbis(&mut file, &range)? && !vorbis::has_sound_codebooks(&walk.setup) {
                return Err(broken_header("its vorbis setup makes no sense"));
            }
            pages = walk.ending;
            range.end = walk.end;
        }
        let found = match container {
            Container::Flac => header::flac(file, range)?,
            Container::Wav => header::wave(file, range)?,
            Container::Aiff => header::aiff(file, range)?,
            Container::Mp4 => header::mp4(file, range)?,
            // Unasked, the demuxer guesses a length from the first frame's bit rate.
            Container::Mp3 | Container::Adts => Found::Audio(Window::over(file, range, false)?),
            Container::Ogg => Found::Audio(Window::over(file, range, true)?),
        };
        let window = match found {
            Found::Audio(window) => window,
            Found::Cut => return Err(cut_header()),
            Found::Nonsense => {
                return Err(broken_header("the header does not describe any audio"));
            }
        };
        let source = MediaSourceStream::new(Box::new(window), MediaSourceStreamOptions::default());
        let reader = symphonia::default::get_probe()
            .probe(&Hint::new(), source, FormatOptions::default(), MetadataOptions::default())
            .map_err(unopened)?;
        Self::start(reader, container, pages)
    }

    fn start(
        reader: Box<dyn FormatReader>,
        container: Container,
        pages: ogg::Ending,
    ) -> Result<Self, ExamineError> {
        let track = reader
            .default_track(TrackType::Audio)
            .ok_or(ExamineError::NotAudio("a container with no audio track"))?;
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(ExamineError::NotAudio("a container with no audio track"));
        };
        let codec = Codec::of(params.codec).ok_or_else(|| {
            ExamineError::Unsupported(format!("the codec {} in {container:?}", params.codec))
        })?;
        check_bounds(params.channels.as_ref().map(Channels::count), params.sample_rate)?;
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(params, &AudioDecoderOptions::default().verify(true))
            .map_err(unopened)?;
        let known = decoder.codec_params();
        check_bounds(known.channels.as_ref().map(Channels::count), known.sample_rate)?;
        let counts_frames = codec.is_lossless() && container != Container::Mp4;
        let stream = Self {
            codec,
            sample_rate_hz: known.sample_rate.or(params.sample_rate).unwrap_or(0),
            channels: known.channels.as_ref().map_or(0, Channels::count),
            bit_depth: bit_depth(codec, known),
            declared_frames: track.num_frames.filter(|&frames| frames > 0),
            track: track.id,
            decoded_frames: 0,
            due: counts_frames.then_some(track.start_ts.get()),
            samples: Vec::new(),
            broken: None,
            pages,
            decoder,
            reader,
        };
        Ok(stream)
    }

    /// Decodes on to the next block with audio in it; none at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<Block<'_>>, ExamineError> {
        loop {
            let Some(packet) = self.next_packet()? else { return Ok(None) };
            let decoded = match self.decoder.decode(&packet) {
                Ok(decoded) if decoded.frames() == 0 => continue,
                Ok(decoded) => decoded,
                Err(Error::ResetRequired) => return Err(changed_midway()),
                Err(error) => {
                    let detail = error.to_string();
                    self.note_break(detail);
                    continue;
                }
            };
            let (channels, rate) = (decoded.spec().channels().count(), decoded.spec().rate());
            let frames = decoded.frames() as u64;
            decoded.copy_to_vec_interleaved(&mut self.samples);
            if self.decoded_frames == 0 {
                // The frames are right about themselves where a container is not: AAC may have
                // twice the channels, or no rate at all, in its header.
                (self.channels, self.sample_rate_hz) = (channels, rate);
                check_bounds(Some(channels), Some(rate))?;
            }
            if (channels, rate) != (self.channels, self.sample_rate_hz) {
                return Err(changed_midway());
            }
            // Sound after a break shows that the break is in the middle, not the end of a cut file.
            if let Some(broken) = &self.broken {
                return Err(broken.as_damage(rate));
            }
            self.decoded_frames += frames;
            let samples = self.samples.as_slice();
            return Ok(Some(Block { samples, sample_rate_hz: rate, channels }));
        }
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, ExamineError> {
        loop {
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(Error::IoError(error)) if is_end(&error) => {
                    // Samples written to a pipe have no length; they end where the file does.
                    if self.codec == Codec::Pcm && self.declared_frames.is_none() {
                        return Ok(None);
                    }
                    self.note_break("the file ends inside a packet".to_owned());
                    return Ok(None);
                }
                Err(Error::IoError(error)) => return Err(error.into()),
                Err(Error::ResetRequired) => {
                    return Err(ExamineError::Unsupported("a chain of streams".to_owned()));
                }
                Err(error) => {
                    self.note_break(error.to_string());
                    return Ok(None);
                }
            };
            if packet.track_id != self.track {
                continue;
            }
            if let Some(due) = self.due {
                if packet.pts.get() > due {
                    self.note_break("frames are missing".to_owned());
                }
                let next = i64::try_from(packet.dur.get()).ok();
                self.due = next.and_then(|frames| packet.pts.get().checked_add(frames));
            }
            return Ok(Some(packet));
        }
    }

    /// Closes the books: whether the whole is as long as promised and has the promised checksum.
    pub(crate) fn finish(mut self) -> Result<Ending, ExamineError> {
        if self.pages == ogg::Ending::Broken {
            self.note_break("a page is missing or has a wrong checksum".to_owned());
        }
        if self.decoder.finalize().verify_ok == Some(false) && !self.is_short() {
            return Err(ExamineError::Damaged {
                at_ms: None,
                detail: "the decoded audio does not have the md5 its header gives".to_owned(),
            });
        }
        let is_cut = self.is_short() || self.pages == ogg::Ending::Cut;
        if !is_cut && let Some(broken) = &self.broken {
            return Err(broken.as_damage(self.sample_rate_hz));
        }
        Ok(Ending {
            codec: self.codec,
            sample_rate_hz: self.sample_rate_hz,
            channels: self.channels,
            bit_depth: self.bit_depth,
            declared_frames: self.declared_frames,
            decoded_frames: self.decoded_frames,
            is_cut,
        })
    }

    /// Says if frames are missing that the headers promised.
    fn is_short(&self) -> bool {
        // Encoders count padding in several ways, and the decoder loses parts of Vorbis blocks
        // where a page's position is odd, so lossy streams may lack a fifth of a second.
        let tolerance =
            if self.codec.is_lossless() { 0 } else { u64::from(self.sample_rate_hz) / 5 };
        self.declared_frames.is_some_and(|declared| self.decoded_frames + tolerance < declared)
    }

    fn note_break(&mut self, detail: String) {
        let at_frame = self.decoded_frames;
        self.broken.get_or_insert(Break { at_frame, detail });
    }
}

/// Time of a frame, in whole milliseconds.
pub(crate) fn ms(frame: u64, sample_rate_hz: u32) -> u64 {
    frame.saturating_mul(1_000) / u64::from(sample_rate_hz.max(1))
}

/// Bits of each sample as encoded, for the codecs that keep them.
fn bit_depth(codec: Codec, params: &AudioCodecParameters) -> Option<u32> {
    match codec {
        Codec::Flac | Codec::Pcm => params.bits_per_sample.or(params.bits_per_coded_sample),
        // The demuxer leaves it in the decoder's configuration: a frame length of four bytes, a
        // version, then the depth.
        Codec::Alac => params.extra_data.as_ref()?.get(5).copied().map(u32::from),
        Codec::Adpcm | Codec::Mp1 | Codec::Mp2 | Codec::Mp3 | Codec::Aac | Codec::Vorbis => None,
    }
}

fn check_bounds(channels: Option<usize>, rate: Option<u32>) -> Result<(), ExamineError> {
    if let Some(channels) = channels
        && !CHANNELS.contains(&channels)
    {
        return Err(ExamineError::Unsupported(format!("{channels} channels")));
    }
    if let Some(rate) = rate
        && !SAMPLE_RATES_HZ.contains(&rate)
    {
        return Err(ExamineError::Unsupported(format!("a sample rate of {rate} Hz")));
    }
    Ok(())
}

fn changed_midway() -> ExamineError {
    ExamineError::Unsupported("a change of format midway".to_owned())
}

fn is_end(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::UnexpectedEof
}

/// Why a stream did not get as far as its first packet.
fn unopened(error: Error) -> ExamineError {
    match error {
        Error::IoError(error) if is_end(&error) => cut_header(),
        Error::IoError(error) => error.into(),
        Error::Unsupported(feature) => ExamineError::Unsupported(feature.to_owned()),
        other => broken_header(&other.to_string()),
    }
}

fn cut_header() -> ExamineError {
    ExamineError::Truncated { declared_frames: None, decoded_frames: 0 }
}

fn broken_header(detail: &str) -> ExamineError {
    ExamineError::Damaged { at_ms: Some(0), detail: detail.to_owned() }
}
