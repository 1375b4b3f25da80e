//! Whole, cut, damaged and foreign files of each format.

use std::sync::LazyLock;

use super::*;
use crate::specimen::{RATE, aiff, flac, m4a, mp3, on_disk, tune, vorbis, wav};
use proptest::prelude::*;

use crate::{compare, read_tags};

fn of(bytes: &[u8]) -> Result<Examined, ExamineError> {
    examine(&on_disk(bytes).path)
}

#[test]
fn lossless_files_of_one_tune_differ_in_nothing_but_their_format() {
    let samples = tune(1, 12);
    let flac = of(&flac(&samples)).unwrap();
    let wav = of(&wav(&samples)).unwrap();
    let aiff = of(&aiff(&samples)).unwrap();
    let m4a = of(&m4a(&samples)).unwrap();
    assert_eq!(
        [flac.codec, wav.codec, aiff.codec, m4a.codec],
        [Codec::Flac, Codec::Pcm, Codec::Pcm, Codec::Alac]
    );
    for one in [&flac, &wav, &aiff, &m4a] {
        assert_eq!((one.sample_rate_hz, one.channels, one.bit_depth), (RATE, 2, Some(16)));
        assert_eq!(one.declared_frames, Some(u64::from(RATE) * 12), "{}", one.codec);
        assert_eq!((one.decoded_frames, one.duration_ms), (u64::from(RATE) * 12, 12_000));
        assert_eq!((&one.fingerprint, one.pcm_blake3), (&flac.fingerprint, flac.pcm_blake3));
    }
    let mut hasher = blake3::Hasher::new();
    for sample in samples {
        hasher.update(&(i32::from(sample) << 16).to_le_bytes());
    }
    assert_eq!(flac.pcm_blake3, *hasher.finalize().as_bytes());
}

#[test]
fn vorbis_sounds_like_the_flac_it_was_made_from_and_not_like_another_tune() {
    let samples = tune(2, 20);
    let (lossless, lossy) = (of(&flac(&samples)).unwrap(), of(&vorbis(&samples)).unwrap());
    assert_eq!((lossy.codec, lossy.bit_depth), (Codec::Vorbis, None));
    assert_eq!(lossy.decoded_frames, lossless.decoded_frames);
    assert_ne!(lossy.pcm_blake3, lossless.pcm_blake3);
    let same = compare(&lossless.fingerprint, &lossy.fingerprint);
    assert!(same.bit_error_ppm < 60_000 && same.offset == 0 && same.unique >= 80, "{same:?}");
    assert!(same.score() > 880_000, "{}", same.score());
    let other = compare(&lossless.fingerprint, &of(&flac(&tune(3, 20))).unwrap().fingerprint);
    assert!(other.bit_error_ppm > 300_000, "{other:?}");
    assert!(other.score() < 400_000, "{}", other.score());
}

#[test]
fn a_file_cut_anywhere_is_cut_short() {
    let samples = tune(4, 8);
    for (name, whole) in [
        ("flac", flac(&samples)),
        ("vorbis", vorbis(&samples)),
        ("wav", wav(&samples)),
        ("aiff", aiff(&samples)),
        ("m4a", m4a(&samples)),
    ] {
        for per_mille in [5, 300, 500, 770, 990, 999] {
            let cut = &whole[..whole.len() * per_mille / 1_000];
            let verdict = of(cut);
            let is_cut = matches!(verdict, Err(ExamineError::Truncated { .. }));
            assert!(is_cut, "{name} cut at {per_mille}: {verdict:?}");
        }
        assert!(of(&whole).is_ok(), "{name}");
    }
}

#[test]
fn a_file_filled_up_with_zeros_to_its_size_is_refused() {
    let samples = tune(5, 8);
    for (name, whole) in [("flac", flac(&samples)), ("vorbis", vorbis(&samples))] {
        for per_mille in [10, 400, 950] {
            let mut filled = whole.clone();
            filled[whole.len() * per_mille / 1_000..].fill(0);
            let verdict = of(&filled);
            assert!(
                matches!(
                    verdict,
                    Err(ExamineError::Truncated { .. } | ExamineError::Damaged { .. })
                ),
                "{name} filled from {per_mille}: {verdict:?}"
            );
        }
    }
    let verdict = of(&vec![0; 300_000]);
    assert!(matches!(verdict, Err(ExamineError::NotAudio(_))), "{verdict:?}");
}

#[test]
fn a_wave_written_to_a_pipe_has_no_length_to_be_short_of() {
    let mut file = wav(&tune(12, 5));
    file[4..8].fill(0xFF);
    file[40..44].fill(0xFF);
    let examined = of(&file).unwrap();
    assert_eq!((examined.declared_frames, examined.decoded_frames), (None, u64::from(RATE) * 5));
}

#[test]
fn an_mp3_is_measured_by_its_frames() {
    let whole = mp3(1, 400);
    let examined = of(&whole).unwrap();
    assert_eq!((examined.codec, examined.channels, examined.bit_depth), (Codec::Mp3, 2, None));
    assert_eq!((examined.declared_frames, examined.decoded_frames), (Some(460_800), 460_800));
    assert!(examined.fingerprint.len() > 50);
    let cut = of(&whole[..whole.len() * 9 / 10]);
    assert!(matches!(cut, Err(ExamineError::Truncated { declared_frames: Some(460_800), .. })));
    let other = of(&mp3(2, 400)).unwrap();
    assert!(compare(&examined.fingerprint, &other.fingerprint).bit_error_ppm > 300_000);
}

#[test]
fn a_flac_with_a_hole_in_it_is_damaged_where_the_hole_is() {
    let whole = flac(&tune(6, 10));
    let mut holed = whole.clone();
    let middle = whole.len() / 2;
    holed[middle..middle + 20_000].fill(0);
    match of(&holed) {
        Err(ExamineError::Damaged { at_ms: Some(at_ms), .. }) => {
            assert!((3_500..6_500).contains(&at_ms), "{at_ms}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_flac_that_decodes_to_other_audio_than_was_encoded_is_damaged() {
    let mut file = flac(&tune(7, 5));
    // The MD5 in STREAMINFO: behind the marker, the block's header and 18 bytes.
    file[8 + 18] ^= 1;
    let verdict = of(&file);
    assert!(matches!(verdict, Err(ExamineError::Damaged { at_ms: None, .. })), "{verdict:?}");
    file[8 + 18..8 + 34].fill(0);
    assert!(of(&file).is_ok(), "an md5 of zeros means that there is none");
}

#[test]
fn silence_and_snippets_are_not_identifiable() {
    let silent = vec![0; RATE as usize * 2 * 5];
    let faint: Vec<i16> = tune(8, 5).iter().map(|sample| sample / 400).collect();
    for samples in [silent, faint] {
        for file in [flac(&samples), wav(&samples)] {
            assert!(matches!(of(&file), Err(ExamineError::Silent)), "{:?}", of(&file));
        }
    }
    let snippet = flac(&tune(9, 1));
    assert!(matches!(of(&snippet), Err(ExamineError::TooShort { duration_ms: 1_000 })));
}

#[test]
fn what_is_no_music_is_called_by_its_name() {
    let told = |bytes: &[u8]| of(bytes).unwrap_err().to_string();
    assert_eq!(told(b""), "not audio but an empty file");
    assert_eq!(told(b"<html>404</html>"), "not audio but bytes of no audio format we know");
    assert_eq!(told(b"PK\x03\x04rest"), "not audio but a zip archive");
    assert_eq!(told(b"wvpk\0\0\0\0RIFF\0\0\0\0WAVEfmt "), "no decoder for WavPack");
    assert_eq!(told(b"MAC \x96\x0F\0\0"), "no decoder for Monkey's Audio");
}

#[test]
fn a_missing_file_is_an_io_error() {
    let folder = tempfile::tempdir().unwrap();
    let verdict = examine(&folder.path().join("none.flac"));
    assert!(matches!(verdict, Err(ExamineError::Io(_))), "{verdict:?}");
}

#[test]
fn an_ogg_with_a_flipped_bit_is_damaged_where_the_bit_is() {
    let mut file = vorbis(&tune(10, 8));
    let middle = file.len() / 2;
    file[middle] ^= 4;
    match of(&file) {
        Err(ExamineError::Damaged { at_ms: Some(at_ms), .. }) => {
            assert!((2_500..5_500).contains(&at_ms), "{at_ms}");
        }
        other => panic!("{other:?}"),
    }
}

/// A short file of each kind.
static SOUND: LazyLock<[Vec<u8>; 6]> = LazyLock::new(|| {
    let samples = tune(11, 1);
    let short = &samples[..40_000];
    [flac(short), vorbis(short), wav(short), aiff(short), m4a(short), mp3(4, 20)]
});

/// One way to spoil a file: where (in parts of 65,536 of its length), and how.
fn spoiling() -> impl Strategy<Value = Vec<(bool, u16, u8, u8)>> {
    let one = (any::<bool>(), any::<u16>(), 0u8..5, any::<u8>());
    prop::collection::vec(one, 1..6)
}

fn spoil(bytes: &mut Vec<u8>, how: &[(bool, u16, u8, u8)]) {
    for &(in_header, place, kind, value) in how {
        let reach = if in_header { bytes.len().min(400) } else { bytes.len() };
        if reach == 0 {
            return;
        }
        let at = reach * usize::from(place) / 65_536;
        let end = (at + usize::from(value)).min(bytes.len());
        match kind {
            0 => bytes[at] = value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => bytes[at..end].fill(0),
            3 => drop(bytes.drain(at..end)),
            _ => bytes.truncate(at),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_spoiled_file_gets_a_verdict_and_no_panic(how in spoiling()) {
        for mut bytes in SOUND.clone() {
            spoil(&mut bytes, &how);
            let file = on_disk(&bytes);
            let _ = examine(&file.path);
            let _ = read_tags(&file.path);
        }
    }

    #[test]
    fn random_bytes_behind_any_magic_are_refused(
        magic in prop::sample::select(vec![
            &b"fLaC"[..], b"OggS\0\x02", b"RIFF\xFF\xFF\0\0WAVEfmt ", b"FORM\0\0\xFF\xFFAIFFCOMM",
            b"\0\0\0\x1CftypM4A ", b"\xFF\xFB\x90\x00", b"\xFF\xF1\x50\x80", b"ID3\x04\0\0\0\0\0\0",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let file = on_disk(&[magic, &bytes].concat());
        prop_assert!(examine(&file.path).is_err());
        let _ = read_tags(&file.path);
    }
}
