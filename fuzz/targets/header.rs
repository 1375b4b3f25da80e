//! Headers of FLAC, WAVE, AIFF and MPEG-4: `audio`'s module `header`. A byte that picks the
//! container, then the file. What a demuxer gets to see is cut out of the file and never longer.
#![no_main]

use audio::Container;
use audio::fuzzing::behind_header;
use libfuzzer_sys::fuzz_target;
use reprise_fuzz::file_of;

const CONTAINERS: [Container; 4] =
    [Container::Flac, Container::Wav, Container::Aiff, Container::Mp4];

fuzz_target!(|data: &[u8]| {
    let Some((pick, file)) = data.split_first() else { return };
    let container = CONTAINERS[usize::from(*pick) % CONTAINERS.len()];
    let range = 0..file.len() as u64;
    let seen = behind_header(container, file_of(file), range).expect("the file is readable");
    let Some(seen) = seen else { return };
    assert!(seen.len() <= file.len());
    assert_eq!(seen[..4], file[..4]);
    // A FLAC's last bytes are frames; the others may end with a chunk.
    let kept = match container {
        Container::Flac => seen.len() - 42,
        Container::Mp4 => seen.len(),
        _ => 8,
    };
    assert!(file.ends_with(&seen[seen.len() - kept..]));
});
