//! The demo's album as files on disk: each track as FLAC, one of them in a lossy format, one as
//! another recording under its name. Pressed once, offered by many peers.

use std::io;
use std::path::{Path, PathBuf};

use crate::album;
use crate::metadata_server::KnownSound;
use crate::music::{Pcm, encode_flac, encode_vorbis};
use crate::peer::Offer;

/// The track (counted from 0) that also exists as the wrong recording.
pub const IMPOSTOR_TRACK: u8 = 3;
/// The track that also exists in a lossy format.
pub const LOSSY_TRACK: u8 = 6;
/// Quality of the lossy file: about 160 kbit/s.
const LOSSY_QUALITY: f32 = 0.5;

/// Why the album could not be pressed.
#[derive(Debug, thiserror::Error)]
pub enum PressError {
    /// A file could not be written.
    #[error("cannot write the music")]
    Io(#[from] io::Error),
    /// Our own music could not be examined.
    #[error("the synthesised music cannot be examined")]
    Music(#[from] audio::ExamineError),
}

/// A file on disk.
#[derive(Debug, Clone)]
pub struct Disc {
    /// Where.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// All files of the album.
#[derive(Debug, Clone)]
pub struct Discs {
    /// Each track without loss, in order.
    pub flac: Vec<Disc>,
    /// [`LOSSY_TRACK`] as Ogg Vorbis.
    pub lossy: Disc,
    /// [`IMPOSTOR_TRACK`] by its name and another recording by its sound.
    pub impostor: Disc,
    /// How all of them sound, as AcoustID would know them.
    pub sounds: Vec<KnownSound>,
}

impl Discs {
    /// Composes and encodes everything into `dir`, on as many threads as there are cores.
    ///
    /// # Errors
    /// [`PressError`].
    pub fn press(dir: &Path) -> Result<Self, PressError> {
        std::fs::create_dir_all(dir)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let indices: Vec<u8> = (0u8..).take(album::target().tracks.len()).collect();
        let share = indices.len().div_ceil(threads).max(1);
        let pressed: Vec<Result<Vec<_>, PressError>> = std::thread::scope(|scope| {
            let workers: Vec<_> = indices
                .chunks(share)
                .map(|some| scope.spawn(|| some.iter().map(|index| track(dir, *index)).collect()))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
                .collect()
        });
        let (mut flac, mut sounds) = (Vec::new(), Vec::new());
        for pressed in pressed {
            for (disc, sound) in pressed? {
                flac.push(disc);
                sounds.push(sound);
            }
        }
        let lossy = encode_vorbis(&album::sound(LOSSY_TRACK), LOSSY_QUALITY);
        let lossy = write(dir, "lossy.ogg", &lossy)?;
        let impostor = encode_flac(&album::stranger(IMPOSTOR_TRACK));
        let impostor = write(dir, "impostor.flac", &impostor)?;
        sounds.push(KnownSound {
            recording: album::stranger_recording(IMPOSTOR_TRACK),
            acoustid: album::stranger_acoustid(IMPOSTOR_TRACK),
            fingerprint: audio::examine(&impostor.path)?.fingerprint,
        });
        Ok(Self { flac, lossy, impostor, sounds })
    }
}

impl Disc {
    /// A file that is on disk already.
    ///
    /// # Errors
    /// When it is not.
    pub fn at(path: PathBuf) -> io::Result<Self> {
        let size = std::fs::metadata(&path)?.len();
        Ok(Self { path, size })
    }

    /// How a peer offers the file as track `index` of the album, in one of its folders.
    #[must_use]
    pub fn offered_as(&self, index: u8, folder: &str) -> Offer {
        let target = album::target();
        let track = &target.tracks[usize::from(index)];
        let ending = self.path.extension().and_then(|ending| ending.to_str()).unwrap_or("flac");
        Offer {
            virtual_path: format!(r"{folder}\{:02} - {}.{ending}", track.position, track.title),
            local_path: self.path.clone(),
            size: self.size,
            duration_s: u32::try_from(track.duration_ms.unwrap_or(0) / 1000).unwrap_or(0),
        }
    }
}

fn track(dir: &Path, index: u8) -> Result<(Disc, KnownSound), PressError> {
    let pcm: Pcm = album::sound(index);
    let disc = write(dir, &format!("track-{}.flac", index + 1), &encode_flac(&pcm))?;
    let sound = KnownSound {
        recording: album::recording(index),
        acoustid: album::acoustid(index),
        fingerprint: audio::examine(&disc.path)?.fingerprint,
    };
    Ok((disc, sound))
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<Disc> {
    let path = dir.join(name);
    std::fs::write(&path, bytes)?;
    Ok(Disc { path, size: bytes.len() as u64 })
}
