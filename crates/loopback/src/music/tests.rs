//! The music as a listener has it: alike across formats, unlike across seeds.

use std::path::PathBuf;

use super::*;

fn examined(bytes: &[u8]) -> audio::Examined {
    let path: PathBuf = std::env::temp_dir().join(format!(
        "reprise-music-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, bytes).unwrap();
    let examined = audio::examine(&path);
    std::fs::remove_file(&path).unwrap();
    examined.unwrap()
}

#[test]
fn ten_pieces_are_ten_recordings() {
    let pieces: Vec<Vec<u32>> =
        (0..10).map(|seed| examined(&encode_flac(&compose(seed, 30))).fingerprint).collect();
    for (first, a) in pieces.iter().enumerate() {
        for (second, b) in pieces.iter().enumerate().skip(first + 1) {
            let likeness = audio::compare(a, b);
            assert!(likeness.bit_error_ppm > 350_000, "{first} and {second}: {likeness:?}");
            assert!(likeness.unique >= 100, "{first} and {second}: {likeness:?}");
        }
    }
}

#[test]
fn a_piece_is_the_same_recording_in_both_codecs() {
    for seed in [11, 12] {
        let pcm = compose(seed, 30);
        let flac = examined(&encode_flac(&pcm));
        let vorbis = examined(&encode_vorbis(&pcm, 0.5));
        assert_eq!(flac.decoded_frames, pcm.frames() as u64);
        assert_eq!((flac.declared_frames, flac.bit_depth), (Some(flac.decoded_frames), Some(16)));
        assert_eq!(vorbis.decoded_frames, flac.decoded_frames);
        let likeness = audio::compare(&flac.fingerprint, &vorbis.fingerprint);
        assert!(likeness.bit_error_ppm < 60_000 && likeness.offset == 0, "{likeness:?}");
    }
}

#[test]
fn flac_gives_back_every_sample() {
    let pcm = compose(13, 5);
    let wave = wave(&pcm);
    assert_eq!(examined(&encode_flac(&pcm)).pcm_blake3, examined(&wave).pcm_blake3);
}

/// The same samples with no codec at all, to compare with.
fn wave(pcm: &Pcm) -> Vec<u8> {
    let data: Vec<u8> = pcm.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    file.extend(pcm.sample_rate.to_le_bytes());
    file.extend((pcm.sample_rate * 4).to_le_bytes());
    file.extend(b"\x04\0\x10\0data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let (once, again) = (compose(14, 4), compose(14, 4));
    assert_eq!(once, again);
    assert_eq!(encode_flac(&once), encode_flac(&again));
    assert_eq!(encode_vorbis(&once, 0.4), encode_vorbis(&again, 0.4));
    assert_ne!(once.samples, compose(15, 4).samples);
}

#[test]
fn nothing_is_composed_for_no_time() {
    let none = compose(16, 0);
    assert_eq!((none.frames(), none.sample_rate, none.channels), (0, 44_100, 2));
}
