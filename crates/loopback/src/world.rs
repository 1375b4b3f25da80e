//! The whole outside on loopback: a Soulseek server, sharing peers good and bad, MusicBrainz and
//! AcoustID, and the album they have between them. Everything it writes is under one folder.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use domain::Target;

use crate::album;
use crate::metadata_server::{Catalogue, KnownSound, MetadataServer};
use crate::music::{Pcm, encode_flac, encode_vorbis};
use crate::peer::{Manner, Offer, Peer};
use crate::soulseek_server::SoulseekServer;

/// The track (counted from 0) that one peer has under the right name and as the wrong recording.
const IMPOSTOR_TRACK: u8 = 3;
/// The track that is only to be had in a lossy format.
const LOSSY_TRACK: u8 = 6;
/// Quality of the lossy file: about 160 kbit/s.
const LOSSY_QUALITY: f32 = 0.5;
/// Each peer has an address of its own, from 127.0.0.11 on.
const FIRST_ADDRESS: u8 = 11;

/// Why the world did not come up.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A folder or file could not be written, or an address not be listened at.
    #[error("cannot set up the loopback world")]
    Io(#[from] io::Error),
    /// A peer could not log in.
    #[error("the peer {user} cannot log in")]
    Login {
        /// The peer.
        user: String,
        /// Why.
        #[source]
        source: soulseek::LoginError,
    },
    /// Our own music could not be examined.
    #[error("the synthesised music cannot be examined")]
    Music(#[from] audio::ExamineError),
}

/// The running world; dropping it ends it.
#[derive(Debug)]
pub struct World {
    server: SoulseekServer,
    metadata: MetadataServer,
    peers: Vec<Peer>,
    target: Target,
}

/// One encoded file on disk.
#[derive(Debug, Clone)]
struct Encoded {
    path: PathBuf,
    size: u64,
}

/// All encoded files of the album, by track.
struct Discs {
    flac: Vec<Encoded>,
    lossy: Encoded,
    impostor: Encoded,
    sounds: Vec<KnownSound>,
}

impl World {
    /// Writes the music below `dir` and starts everybody.
    ///
    /// # Errors
    /// [`WorldError`].
    pub async fn start(dir: &Path) -> Result<Self, WorldError> {
        let target = album::target();
        let peers_dir = dir.join("peers");
        let discs = match tokio::task::spawn_blocking(move || press(&peers_dir)).await {
            Ok(discs) => discs?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = SoulseekServer::bind(local).await?;
        let catalogue = Catalogue { releases: vec![target.clone()], sounds: discs.sounds.clone() };
        let metadata = MetadataServer::start(local, catalogue, likeness)?;
        let mut world = Self { server, metadata, peers: Vec::new(), target };
        world.populate(&discs).await?;
        Ok(world)
    }

    /// Address of the Soulseek server.
    #[must_use]
    pub fn soulseek(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Address of MusicBrainz and AcoustID.
    #[must_use]
    pub fn metadata(&self) -> &MetadataServer {
        &self.metadata
    }

    /// The album that can be completed here.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    async fn populate(&mut self, discs: &Discs) -> Result<(), WorldError> {
        let all: Vec<u8> = (0u8..).take(discs.flac.len()).filter(|i| *i != LOSSY_TRACK).collect();
        let lossless = |tracks: &[u8], folder: &str| -> Vec<Offer> {
            tracks
                .iter()
                .map(|index| self.offer(&discs.flac[usize::from(*index)], folder, *index, "flac"))
                .collect()
        };
        let usual = r"Music\The Tin Orchard\1999 - Harbour Lights";
        let honest: Vec<u8> = all.iter().copied().filter(|i| *i != IMPOSTOR_TRACK).collect();
        let total: u64 = discs.flac.iter().map(|file| file.size).sum();
        let cast = [
            // The quickest of all, until it vanishes in the middle of a file.
            ("wren", 9_000_000, lossless(&honest, usual), Some(total / 6)),
            (
                "juniper",
                4_000_000,
                lossless(&honest, r"@@jun\flac\Tin Orchard - Harbour Lights"),
                None,
            ),
            ("marlow", 2_500_000, lossless(&honest[2..6], usual), None),
            (
                "oskar",
                1_500_000,
                lossless(&all, r"shared\The Tin Orchard - Harbour Lights [FLAC]"),
                None,
            ),
            (
                "pinch",
                8_000_000,
                vec![self.offer(&discs.impostor, usual, IMPOSTOR_TRACK, "flac")],
                None,
            ),
            ("violet", 600_000, vec![self.offer(&discs.lossy, usual, LOSSY_TRACK, "ogg")], None),
        ];
        for (number, (user, bytes_per_s, offers, dies_after)) in (FIRST_ADDRESS..).zip(cast) {
            let manner = Manner {
                user: user.into(),
                listen: SocketAddr::from(([127, 0, 0, number], 0)),
                bytes_per_s,
                slots: 2,
                dies_after,
            };
            let peer = Peer::start(self.server.addr(), manner, offers)
                .await
                .map_err(|source| WorldError::Login { user: user.into(), source })?;
            self.peers.push(peer);
        }
        Ok(())
    }

    fn offer(&self, file: &Encoded, folder: &str, index: u8, ending: &str) -> Offer {
        let track = &self.target.tracks[usize::from(index)];
        let duration_ms = track.duration_ms.unwrap_or(0);
        Offer {
            virtual_path: format!(r"{folder}\{:02} - {}.{ending}", track.position, track.title),
            local_path: file.path.clone(),
            size: file.size,
            duration_s: u32::try_from(duration_ms / 1000).unwrap_or(0),
        }
    }
}

/// Composes and encodes everything, on as many threads as there are cores.
fn press(dir: &Path) -> Result<Discs, WorldError> {
    std::fs::create_dir_all(dir)?;
    let target = album::target();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs: Vec<u8> = (0u8..).take(target.tracks.len()).collect();
    let share = jobs.len().div_ceil(threads).max(1);
    let pressed: Vec<Result<Vec<(Encoded, KnownSound)>, WorldError>> =
        std::thread::scope(|scope| {
            let workers: Vec<_> = jobs
                .chunks(share)
                .map(|indices| {
                    scope.spawn(move || indices.iter().map(|i| press_one(dir, *i)).collect())
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
    let (mut flac, mut sounds) = (Vec::new(), Vec::new());
    for pressed in pressed {
        for (file, sound) in pressed? {
            flac.push(file);
            sounds.push(sound);
        }
    }
    let lossy = write(dir, "lossy.ogg", &encode_vorbis(&album::sound(LOSSY_TRACK), LOSSY_QUALITY))?;
    let other = album::stranger(IMPOSTOR_TRACK);
    let impostor = write(dir, "impostor.flac", &encode_flac(&other))?;
    sounds.push(KnownSound {
        recording: album::stranger_recording(IMPOSTOR_TRACK),
        acoustid: album::acoustid(200),
        fingerprint: audio::examine(&impostor.path)?.fingerprint,
    });
    Ok(Discs { flac, lossy, impostor, sounds })
}

fn press_one(dir: &Path, index: u8) -> Result<(Encoded, KnownSound), WorldError> {
    let pcm: Pcm = album::sound(index);
    let file = write(dir, &format!("track-{}.flac", index + 1), &encode_flac(&pcm))?;
    let sound = KnownSound {
        recording: album::recording(index),
        acoustid: album::acoustid(index),
        fingerprint: audio::examine(&file.path)?.fingerprint,
    };
    Ok((file, sound))
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<Encoded> {
    let path = dir.join(name);
    std::fs::write(&path, bytes)?;
    Ok(Encoded { path, size: bytes.len() as u64 })
}

/// Likeness of a submitted fingerprint and a known one, as AcoustID scores it.
fn likeness(submitted: &str, known: &[u32]) -> Option<u32> {
    let submitted = audio::decompress(submitted).ok()?;
    Some(audio::compare(&submitted, known).score())
}
