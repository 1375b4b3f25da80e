//! The whole outside on loopback: a Soulseek server, MusicBrainz and AcoustID that know one album,
//! and sharing peers. [`World::demo`] has the cast of the demo; tests let their own peers join.

use std::io;
use std::net::SocketAddr;

use crate::album;
use crate::discs::{Discs, IMPOSTOR_TRACK, LOSSY_TRACK};
use crate::metadata_server::{Catalogue, MetadataServer};
use crate::peer::{Manner, Offer, Peer};
use crate::soulseek_server::SoulseekServer;

/// Why the world did not come up.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// An address could not be listened at.
    #[error("cannot listen on loopback")]
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
}

/// The running world; dropping it ends it.
#[derive(Debug)]
pub struct World {
    server: SoulseekServer,
    metadata: MetadataServer,
    peers: Vec<Peer>,
}

impl World {
    /// Servers that know the album, and nobody who has it.
    ///
    /// # Errors
    /// [`WorldError`].
    pub async fn empty(discs: &Discs) -> Result<Self, WorldError> {
        let catalogue = Catalogue { releases: vec![album::target()], sounds: discs.sounds.clone() };
        Self::with_catalogue(catalogue).await
    }

    /// Servers that know what the catalogue says.
    ///
    /// # Errors
    /// [`WorldError`].
    pub async fn with_catalogue(catalogue: Catalogue) -> Result<Self, WorldError> {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = SoulseekServer::bind(local).await?;
        let metadata = MetadataServer::start(local, catalogue, likeness)?;
        Ok(Self { server, metadata, peers: Vec::new() })
    }

    /// The cast of the demo: good peers of different speeds, one that dies in the middle of a file,
    /// one whose file has the right name and the wrong sound, one that has the only copy of a track,
    /// in a lossy format.
    ///
    /// # Errors
    /// [`WorldError`].
    pub async fn demo(discs: &Discs) -> Result<Self, WorldError> {
        let mut world = Self::empty(discs).await?;
        let lossless = |tracks: &[u8], folder: &str| -> Vec<Offer> {
            tracks.iter().map(|i| discs.flac[usize::from(*i)].offered_as(*i, folder)).collect()
        };
        let usual = r"Music\The Tin Orchard\1999 - Harbour Lights";
        let tagged = r"shared\The Tin Orchard - Harbour Lights [FLAC]";
        let short = r"@@jun\flac\Tin Orchard - Harbour Lights";
        let all: Vec<u8> = (0u8..).take(discs.flac.len()).filter(|i| *i != LOSSY_TRACK).collect();
        let most: Vec<u8> = all.iter().copied().filter(|i| *i != IMPOSTOR_TRACK).collect();
        let total: u64 = discs.flac.iter().map(|disc| disc.size).sum();
        let impostor = vec![discs.impostor.offered_as(IMPOSTOR_TRACK, usual)];
        let lossy = vec![discs.lossy.offered_as(LOSSY_TRACK, usual)];
        let cast = [
            // The quickest of all, until it vanishes.
            ("wren", 9_000_000, lossless(&most, usual), Some(total / 6)),
            ("juniper", 4_000_000, lossless(&most, short), None),
            ("marlow", 2_500_000, lossless(&most[2..6], usual), None),
            ("oskar", 1_500_000, lossless(&all, tagged), None),
            ("pinch", 8_000_000, impostor, None),
            ("violet", 600_000, lossy, None),
        ];
        for (user, bytes_per_s, offers, dies_after) in cast {
            let manner = Manner { user: user.into(), bytes_per_s, slots: 2, dies_after };
            world.join(manner, offers).await?;
        }
        Ok(world)
    }

    /// Lets a peer log in and share, at an address of its own.
    ///
    /// # Errors
    /// [`WorldError::Login`].
    pub async fn join(&mut self, manner: Manner, offers: Vec<Offer>) -> Result<(), WorldError> {
        let user = manner.user.clone();
        // From 127.0.1.1 on, so that nobody shares an address with the node.
        let number = u8::try_from(self.peers.len() + 1).unwrap_or(u8::MAX);
        let listen = SocketAddr::from(([127, 0, 1, number], 0));
        let peer = Peer::start(self.server.addr(), listen, manner, offers)
            .await
            .map_err(|source| WorldError::Login { user, source })?;
        self.peers.push(peer);
        Ok(())
    }

    /// Address of the Soulseek server.
    #[must_use]
    pub fn soulseek(&self) -> SocketAddr {
        self.server.addr()
    }

    /// MusicBrainz and AcoustID.
    #[must_use]
    pub fn metadata(&self) -> &MetadataServer {
        &self.metadata
    }
}

/// Likeness of a submitted fingerprint and a known one, as AcoustID scores it.
fn likeness(submitted: &str, known: &[u32]) -> Option<u32> {
    let submitted = audio::decompress(submitted).ok()?;
    Some(audio::compare(&submitted, known).score())
}
