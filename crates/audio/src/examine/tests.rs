use super::*;
use crate::specimen::{RATE, aiff, flac, m4a, mp3, on_disk, tune, vorbis, wav};
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
    ] {
        for per_mille in [300, 500, 770, 990, 999] {
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
fn zz_fuzz() {
    let s = tune(31, 1);
    let seeds: Vec<(&str, Vec<u8>)> = vec![
        ("flac", flac(&s[..40_000])),
        ("vorbis", vorbis(&s)),
        ("wav", wav(&s[..20_000])),
        ("aiff", aiff(&s[..20_000])),
        ("m4a", m4a(&s[..40_000])),
        ("mp3", mp3(3, 40)),
        (
            "adts",
            (0..30u32)
                .flat_map(|f| {
                    let mut st = f * 77 + 5;
                    [0xFF, 0xF1, 0x50, 0x80, 0x20, 0x1F, 0xFC]
                        .into_iter()
                        .chain((0..249).map(move |_| {
                            st = st.wrapping_mul(1664525).wrapping_add(1013904223);
                            (st >> 24) as u8
                        }))
                        .collect::<Vec<u8>>()
                })
                .collect(),
        ),
    ];
    let mut state = std::env::var("FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1u64);
    let mut roll = move |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n.max(1)
    };
    std::panic::set_hook(Box::new(|info| eprintln!("PANIC {info}")));
    let start = std::time::Instant::now();
    let secs: u64 = std::env::var("FUZZ_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut count = 0;
    let mut slow = 0u128;
    while start.elapsed().as_secs() < secs {
        let (name, base) = &seeds[roll(seeds.len())];
        let mut b = base.clone();
        for _ in 0..=roll(6) {
            let len = b.len();
            if len == 0 {
                break;
            }
            let reach = [64, 300, 5000, len][roll(4)].min(len);
            let off = if roll(4) == 0 { len - 1 - roll(reach) } else { roll(reach) };
            match roll(7) {
                0 => b[off] = roll(256) as u8,
                1 => b[off] ^= 1 << roll(8),
                2 => b[off] = [0, 255, 127, 128, 1][roll(5)],
                3 => b.truncate(off),
                4 => {
                    let e = (off + roll(200)).min(len);
                    b[off..e].fill(0)
                }
                5 => {
                    let e = (off + roll(200)).min(len);
                    b.drain(off..e);
                }
                _ => {
                    let e = (off + 4).min(len);
                    for x in &mut b[off..e] {
                        *x = [0, 255, roll(256) as u8][roll(3)];
                    }
                }
            }
        }
        if *name == "vorbis" && roll(5) > 0 {
            let starts: Vec<usize> =
                (0..b.len().saturating_sub(27)).filter(|&i| b[i..].starts_with(b"OggS")).collect();
            for (n, &st) in starts.iter().enumerate() {
                let en = starts.get(n + 1).copied().unwrap_or(b.len());
                b[st + 22..st + 26].fill(0);
                let mut c = 0u32;
                for &x in &b[st..en] {
                    c ^= u32::from(x) << 24;
                    for _ in 0..8 {
                        c = if c & 0x8000_0000 != 0 { (c << 1) ^ 0x04c1_1db7 } else { c << 1 };
                    }
                }
                b[st + 22..st + 26].copy_from_slice(&c.to_le_bytes());
            }
        }
        std::fs::write(&path, &b).unwrap();
        let t = std::time::Instant::now();
        let r = std::panic::catch_unwind(|| {
            let _ = examine(&path);
        });
        let e = t.elapsed().as_millis();
        if e > slow {
            slow = e;
            eprintln!("slow {name} {e} ms");
            if e > 2000 {
                std::fs::write(format!("/tmp/w/fuzz-slow-{count}-{name}"), &b).unwrap();
            }
        }
        if r.is_err() {
            eprintln!("in {name}");
            std::fs::write(format!("/tmp/w/fuzz-panic-{count}-{name}"), &b).unwrap();
        }
        let r = std::panic::catch_unwind(|| {
            let _ = read_tags(&path);
        });
        if r.is_err() {
            eprintln!("in tags {name}");
            std::fs::write(format!("/tmp/w/fuzz-tags-{count}-{name}"), &b).unwrap();
        }
        count += 1;
    }
    eprintln!("ran {count}");
}
