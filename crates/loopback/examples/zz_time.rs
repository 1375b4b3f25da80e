//! scratch
use std::time::Instant;
fn main() {
    use loopback::music::*;
    let t = Instant::now();
    let pcms: Vec<_> = (0..10).map(|s| compose(s, 30)).collect();
    println!("compose 10x30 {:?}", t.elapsed());
    let t = Instant::now();
    let flacs: Vec<_> = pcms.iter().map(encode_flac).collect();
    println!(
        "flac 10x30 {:?} sizes {:?}",
        t.elapsed(),
        flacs.iter().map(|f| f.len()).collect::<Vec<_>>()
    );
    let t = Instant::now();
    let vs: Vec<_> = pcms.iter().map(|p| encode_vorbis(p, 0.5)).collect();
    println!(
        "vorbis 10x30 {:?} sizes {:?}",
        t.elapsed(),
        vs.iter().map(|f| f.len()).collect::<Vec<_>>()
    );
    let d = std::env::temp_dir().join("zz_time.bin");
    for (n, set) in [("flac", &flacs), ("vorbis", &vs)] {
        let t = Instant::now();
        for f in set {
            std::fs::write(&d, f).unwrap();
            audio::examine(&d).unwrap();
        }
        println!("examine {n} 10x30 {:?}", t.elapsed());
    }
    let long = compose(99, 240);
    for (n, f) in [("flac", encode_flac(&long)), ("vorbis", encode_vorbis(&long, 0.5))] {
        std::fs::write(&d, f).unwrap();
        let t = Instant::now();
        audio::examine(&d).unwrap();
        println!("examine {n} 240s {:?}", t.elapsed());
    }
    let n = 60u64;
    let fps: Vec<_> = (0..n)
        .map(|s| {
            std::fs::write(&d, encode_flac(&compose(s * 7 + 1, 30))).unwrap();
            audio::examine(&d).unwrap().fingerprint
        })
        .collect();
    let mut min = u32::MAX;
    let mut sum = 0u64;
    let mut c = 0;
    let mut under = 0;
    let mut uniq = usize::MAX;
    let t = Instant::now();
    for i in 0..fps.len() {
        for j in i + 1..fps.len() {
            let s = audio::compare(&fps[i], &fps[j]);
            min = min.min(s.bit_error_ppm);
            sum += u64::from(s.bit_error_ppm);
            c += 1;
            under += (s.bit_error_ppm < 350_000) as u32;
            uniq = uniq.min(s.unique);
        }
    }
    println!(
        "pairs {c} min {min} mean {} under350 {under} min unique {uniq} items {} compare each {:?}",
        sum / c,
        fps[0].len(),
        t.elapsed() / c as u32
    );
}
