//! Makes FLAC and Ogg Vorbis files of composed music, byte for byte the same for the same samples.
//! Writes no tags: those are `audio::write_tags`. Not a general encoder, and it knows no other
//! formats; the samples come from [`super::compose()`].

use std::num::{NonZeroU8, NonZeroU32};

use flacenc::bitsink::ByteSink;
use flacenc::component::BitRepr;
use flacenc::error::Verify;
use flacenc::source::MemSource;
use vorbis_rs::{VorbisBitrateManagementStrategy, VorbisEncoderBuilder};

use super::Pcm;

/// Frames in each FLAC block.
const FLAC_BLOCK: usize = 4_096;

/// Frames handed to the Vorbis encoder at a time; large blocks slow it down badly.
const VORBIS_BLOCK: usize = 1_024;

/// The stream serial of our Ogg files. A random one, as Ogg asks for when streams are to be
/// chained, would make equal music differ in its bytes.
const VORBIS_SERIAL: i32 = 0x5245_5052;

/// Encodes as FLAC with the number of samples and their MD5 in STREAMINFO.
///
/// # Panics
/// When `pcm` breaks its own description: no channel, more than eight, or no sample rate.
#[must_use]
pub fn encode_flac(pcm: &Pcm) -> Vec<u8> {
    let mut config = flacenc::config::Encoder::default();
    config.block_size = FLAC_BLOCK;
    // Fixed predictors only: files grow by a tenth, and encoding takes a third of the time.
    config.subframe_coding.use_lpc = false;
    let config = config.into_verified().expect("our settings are within FLAC's ranges");
    let samples: Vec<i32> = pcm.samples.iter().copied().map(i32::from).collect();
    let source =
        MemSource::from_samples(&samples, pcm.channels as usize, 16, pcm.sample_rate as usize);
    let mut stream = flacenc::encode_with_fixed_block_size(&config, source, FLAC_BLOCK)
        .expect("16-bit samples from memory always encode");
    // The encoder takes the last, shorter block for the smallest; the format leaves it out of account
    // (RFC 9639 section 8.2), and some decoders know none of the frames otherwise.
    stream
        .stream_info_mut()
        .set_block_sizes(FLAC_BLOCK, FLAC_BLOCK)
        .expect("the block size is within FLAC's range");
    let mut sink = ByteSink::new();
    stream.write(&mut sink).expect("memory takes every byte");
    sink.into_inner()
}

/// Encodes as Ogg Vorbis at a quality from -0.2 to 1.0; 0.5 gives about 160 kbit/s.
///
/// # Panics
/// When `pcm` breaks its own description, or the quality is out of range.
#[must_use]
pub fn encode_vorbis(pcm: &Pcm, quality: f32) -> Vec<u8> {
    let channels = u8::try_from(pcm.channels).ok().and_then(NonZeroU8::new);
    let mut encoder = VorbisEncoderBuilder::new_with_serial(
        NonZeroU32::new(pcm.sample_rate).expect("music has a sample rate"),
        channels.expect("music has between one and 255 channels"),
        Vec::new(),
        VORBIS_SERIAL,
    )
    .bitrate_management_strategy(VorbisBitrateManagementStrategy::QualityVbr {
        target_quality: quality,
    })
    .build()
    .expect("the rate, the channels and the quality are ones Vorbis has a mode for");
    let channels = pcm.channels as usize;
    let mut planes = vec![Vec::with_capacity(VORBIS_BLOCK); channels];
    for block in pcm.samples.chunks(VORBIS_BLOCK * channels) {
        for (channel, plane) in planes.iter_mut().enumerate() {
            plane.clear();
            let samples = block.iter().skip(channel).step_by(channels);
            plane.extend(samples.map(|&sample| f32::from(sample) / 32_768.0));
        }
        encoder.encode_audio_block(&planes).expect("memory takes every page");
    }
    encoder.finish().expect("memory takes every page")
}
