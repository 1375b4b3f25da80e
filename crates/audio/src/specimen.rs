//! Audio files for the tests of this crate, made in memory: a little tune, and the containers around
//! it. The demo's music, which has to please as well, is `loopback::music`.

use std::num::{NonZeroU8, NonZeroU32};
use std::path::PathBuf;

use flacenc::bitsink::ByteSink;
use flacenc::component::BitRepr;
use flacenc::error::Verify;

pub(crate) const RATE: u32 = 44_100;

/// Stereo samples of a tune that is another for each seed.
pub(crate) fn tune(seed: u32, seconds: u32) -> Vec<i16> {
    let mut dice = u64::from(seed) * 2 + 1;
    let mut roll = move |bound: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % bound
    };
    let mut samples = Vec::new();
    for _ in 0..seconds * 4 {
        let pitches = [roll(24), roll(24), roll(24)];
        for frame in 0..RATE / 4 {
            let time = f64::from(frame) / f64::from(RATE);
            let fade = 1.0 - time * 3.0;
            let tone = |pitch: u64| {
                let hz = 110.0 * (pitch as f64 / 12.0).exp2();
                let phase = std::f64::consts::TAU * hz * time;
                (phase.sin() + 0.5 * (2.0 * phase).sin() + 0.2 * (3.0 * phase).sin()) * fade
            };
            let noise = roll(201) as f64 - 100.0;
            let [low, middle, high] = pitches.map(tone);
            samples.push((4_000.0 * (low + middle) + noise) as i16);
            samples.push((4_000.0 * (low + high) + noise) as i16);
        }
    }
    samples
}

pub(crate) fn flac(samples: &[i16]) -> Vec<u8> {
    let mut config = flacenc::config::Encoder::default();
    config.subframe_coding.use_lpc = false;
    let config = config.into_verified().unwrap();
    let samples: Vec<i32> = samples.iter().copied().map(i32::from).collect();
    let source = flacenc::source::MemSource::from_samples(&samples, 2, 16, RATE as usize);
    let stream = flacenc::encode_with_fixed_block_size(&config, source, 4_096).unwrap();
    let mut sink = ByteSink::new();
    stream.write(&mut sink).unwrap();
    sink.into_inner()
}

pub(crate) fn vorbis(samples: &[i16]) -> Vec<u8> {
    let rate = NonZeroU32::new(RATE).unwrap();
    let channels = NonZeroU8::new(2).unwrap();
    let mut builder = vorbis_rs::VorbisEncoderBuilder::new_with_serial(rate, channels, vec![], 7);
    let mut encoder = builder.build().unwrap();
    for block in samples.chunks(2_048) {
        let side = |side| block.iter().skip(side).step_by(2).map(|&s| f32::from(s) / 32_768.0);
        let planes: [Vec<f32>; 2] = [side(0).collect(), side(1).collect()];
        encoder.encode_audio_block(planes).unwrap();
    }
    encoder.finish().unwrap()
}

pub(crate) fn wav(samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 4).to_le_bytes());
    file.extend(b"\x04\0\x10\0data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

pub(crate) fn aiff(samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
    let mut file = b"FORM".to_vec();
    file.extend((46 + data.len() as u32).to_be_bytes());
    file.extend(b"AIFFCOMM\0\0\0\x12\0\x02");
    file.extend((samples.len() as u32 / 2).to_be_bytes());
    // 44,100 as an 80-bit float.
    file.extend(b"\0\x10\x40\x0E\xAC\x44\0\0\0\0\0\0SSND");
    file.extend((8 + data.len() as u32).to_be_bytes());
    file.extend([0; 8]);
    file.extend(data);
    file
}

/// An MP3 of 128 kbit/s, with a frame in front that says how many there are. Not an encoder: it
/// writes a few spectral lines at random, which is a tune of sorts.
pub(crate) fn mp3(seed: u64, frames: u32) -> Vec<u8> {
    const HEADER: [u8; 4] = [0xFF, 0xFB, 0x90, 0x00];
    const FRAME_LEN: usize = 417;
    let mut file = HEADER.to_vec();
    file.extend([0; 32]);
    file.extend(b"Info\0\0\0\x01");
    file.extend(frames.to_be_bytes());
    file.resize(FRAME_LEN, 0);
    let mut dice = seed * 2 + 1;
    let mut lines = [0; 3];
    for frame in 0..frames {
        if frame.is_multiple_of(9) {
            lines = lines.map(|_| {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                6 + (dice >> 33) as usize % 50
            });
        }
        file.extend(HEADER);
        file.extend(mp3_body(&lines));
        file.resize(file.len().next_multiple_of(FRAME_LEN), 0);
    }
    file
}

/// Side information and data of a frame: both granules of both channels hold the same lines.
///
/// Huffman table 1 has pairs of 0 and 1: 00 is `1`, 01 is `001`, 10 is `01`, 11 is `000`, and each 1
/// is followed by its sign (ISO 11172-3 sections 2.4.1.7 and annex B).
fn mp3_body(lines: &[usize; 3]) -> Vec<u8> {
    const PAIRS: u32 = 32;
    let mut data = Bits::default();
    let mut data_lens = [0; 4];
    for len in &mut data_lens {
        let start = data.used;
        for pair in 0..PAIRS as usize {
            let [low, high] = [2 * pair, 2 * pair + 1].map(|line| lines.contains(&line));
            match (low, high) {
                (false, false) => data.push(0b1, 1),
                (false, true) => data.push(0b0010, 4),
                (true, false) => data.push(0b010, 3),
                (true, true) => data.push(0b00001, 5),
            }
        }
        *len = (data.used - start) as u32;
    }
    let mut side = Bits::default();
    side.push(0, 9 + 3 + 8);
    for len in data_lens {
        side.push(len, 12);
        side.push(PAIRS, 9);
        // The step of the quantiser: 2^((198 - 210) / 4), an eighth of full scale.
        side.push(198, 8);
        side.push(0, 4 + 1);
        side.push(0b00001_00001_00001, 15);
        side.push(0, 7 + 3);
    }
    [side.bytes, data.bytes].concat()
}

/// MPEG-4 with Apple Lossless in it: uncompressed frames, in the manner of the reference encoder
/// for audio it cannot compress.
pub(crate) fn m4a(samples: &[i16]) -> Vec<u8> {
    const FRAMES_IN_PACKET: usize = 4_096;
    let frames = samples.len() as u32 / 2;
    let packets: Vec<Vec<u8>> = samples.chunks(FRAMES_IN_PACKET * 2).map(alac_packet).collect();
    let last = frames - (packets.len() as u32 - 1) * FRAMES_IN_PACKET as u32;
    let ftyp = atom(b"ftyp", &[b"M4A \0\0\0\0M4A isom"]);
    let mdat_at = ftyp.len() as u32 + 8;

    let cookie = [
        &[0; 4][..],
        &(FRAMES_IN_PACKET as u32).to_be_bytes(),
        &[0, 16, 40, 10, 14, 2, 0, 255],
        &[0; 8],
        &RATE.to_be_bytes(),
    ]
    .concat();
    let entry = [
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 16, 0, 0, 0, 0][..],
        &(RATE << 16).to_be_bytes(),
        &atom(b"alac", &[&cookie]),
    ]
    .concat();
    let stsd = atom(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &atom(b"alac", &[&entry])]);
    let runs = [packets.len() as u32 - 1, FRAMES_IN_PACKET as u32, 1, last];
    let stts = atom(b"stts", &[&words(&[0, 2]), &words(&runs)]);
    let stsc = atom(b"stsc", &[&words(&[0, 1, 1, packets.len() as u32, 1])]);
    let sizes: Vec<u32> = packets.iter().map(|packet| packet.len() as u32).collect();
    let stsz = atom(b"stsz", &[&words(&[0, 0, packets.len() as u32]), &words(&sizes)]);
    let stco = atom(b"stco", &[&words(&[0, 1, mdat_at])]);
    let stbl = atom(b"stbl", &[&stsd, &stts, &stsc, &stsz, &stco]);
    let url = atom(b"url ", &[&[0, 0, 0, 1]]);
    let dinf = atom(b"dinf", &[&atom(b"dref", &[&words(&[0, 1]), &url])]);
    let minf = atom(b"minf", &[&atom(b"smhd", &[&[0; 8]]), &dinf, &stbl]);
    let mdhd = atom(b"mdhd", &[&words(&[0, 0, 0, RATE, frames, 0])]);
    let hdlr = atom(b"hdlr", &[&[0; 8], b"soun", &[0; 12], &[0]]);
    let mdia = atom(b"mdia", &[&mdhd, &hdlr, &minf]);
    let matrix = words(&[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
    let tkhd =
        atom(b"tkhd", &[&words(&[7, 0, 0, 1, 0, frames, 0, 0, 0, 0x0100_0000]), &matrix, &[0; 8]]);
    let mvhd = atom(
        b"mvhd",
        &[
            &words(&[0, 0, 0, RATE, frames, 0x1_0000, 0x0100_0000, 0, 0]),
            &matrix,
            &[0; 24],
            &words(&[2]),
        ],
    );
    let moov = atom(b"moov", &[&mvhd, &atom(b"trak", &[&tkhd, &mdia])]);
    [ftyp, atom(b"mdat", &[&packets.concat()]), moov].concat()
}

/// An ALAC packet: element 1 (a pair) of instance 0, twelve unused bits, "has a size", no shift,
/// "is not compressed", the size, the samples, element 7 (the end), zeros to a byte.
fn alac_packet(samples: &[i16]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(1, 3);
    bits.push(0, 4 + 12);
    bits.push(0b1001, 4);
    bits.push(samples.len() as u32 / 2, 32);
    for &sample in samples {
        bits.push(u32::from(sample as u16), 16);
    }
    bits.push(7, 3);
    bits.bytes
}

/// A writer of bits, highest first.
#[derive(Default)]
pub(crate) struct Bits {
    pub bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    pub(crate) fn push(&mut self, value: u32, bits: usize) {
        for place in (0..bits).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> place) as u8 & 1;
            let last = self.bytes.len() - 1;
            self.bytes[last] |= bit << (7 - self.used % 8);
            self.used += 1;
        }
    }
}

fn atom(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], name, &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A folder with one file in it; it goes when this does.
pub(crate) struct OnDisk {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

/// Puts bytes into a file whose name says nothing about them.
pub(crate) fn on_disk(bytes: &[u8]) -> OnDisk {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("specimen.bin");
    std::fs::write(&path, bytes).unwrap();
    OnDisk { _folder: folder, path }
}
