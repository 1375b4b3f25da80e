//! A sharing peer: a whole Soulseek client of ours with a folder of music, a speed, and perhaps an
//! early end. What goes wrong with it goes wrong on real sockets.

use std::net::SocketAddr;
use std::path::PathBuf;

use soulseek::{Attributes, Client, ClientConfig, Event, LoginError, SharedFile, Shares};
use tokio::task::JoinHandle;

/// How a peer is.
#[derive(Debug, Clone)]
pub struct Manner {
    /// User name.
    pub user: String,
    /// Upload speed in bytes per second, all uploads together.
    pub bytes_per_s: u64,
    /// Uploads at the same time.
    pub slots: usize,
    /// It vanishes in the middle of a file once it has sent so many bytes in all.
    pub dies_after: Option<u64>,
}

/// One file that a peer offers.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its path as others see it.
    pub virtual_path: String,
    /// Where it is.
    pub local_path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Length of its audio in seconds.
    pub duration_s: u32,
}

/// A running peer; dropping it takes it offline.
#[derive(Debug)]
pub struct Peer {
    life: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.life.abort();
    }
}

impl Peer {
    /// Logs in at `server` and serves at `listen` until dropped, or until it dies.
    ///
    /// # Errors
    /// When it cannot log in.
    pub async fn start(
        server: SocketAddr,
        listen: SocketAddr,
        manner: Manner,
        offers: Vec<Offer>,
    ) -> Result<Self, LoginError> {
        let config = ClientConfig {
            upload_slots: manner.slots,
            upload_bytes_per_s: Some(manner.bytes_per_s),
            known_upload_speed: u32::try_from(manner.bytes_per_s).unwrap_or(u32::MAX),
            ..ClientConfig::new(&server.to_string(), &manner.user, "loopback", listen)
        };
        let shares = Shares::new(offers.into_iter().map(|offer| SharedFile {
            virtual_path: offer.virtual_path,
            local_path: offer.local_path,
            size: offer.size,
            attributes: Attributes { duration_s: Some(offer.duration_s), ..Attributes::default() },
        }));
        let (client, mut events) = Client::login(config, shares).await?;
        let life = tokio::spawn(async move {
            let mut before = 0;
            while let Some(event) = events.next().await {
                let sent = match event {
                    Event::UploadProgress { sent_bytes, .. } => before + sent_bytes,
                    Event::UploadEnded { sent_bytes, .. } => {
                        before += sent_bytes;
                        // Between two files nothing would break off.
                        continue;
                    }
                    _ => continue,
                };
                if manner.dies_after.is_some_and(|limit| sent >= limit) {
                    client.close().await;
                    return;
                }
            }
        });
        Ok(Self { life })
    }
}
