//! MusicBrainz and AcoustID on this machine, for the demo and for tests: real HTTP, the shapes and
//! refusals of the real services, and a catalogue that is given. It knows nothing beyond that
//! catalogue. Releases are answered in [`release`], fingerprints in [`lookup`], and what can be made
//! to go wrong is in [`Faults`].

mod lookup;
mod pace;
mod release;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domain::id::AcoustId;
use domain::{RecordingId, Target};
use tokio::sync::oneshot;

use self::pace::Pace;

/// Everything the server knows.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Releases, as MusicBrainz would describe them.
    pub releases: Vec<Target>,
    /// Sounds, as AcoustID would know them.
    pub sounds: Vec<KnownSound>,
}

/// One fingerprint and what it is linked to. Several may share an AcoustID or a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSound {
    /// The recording it is linked to.
    pub recording: RecordingId,
    /// The AcoustID it belongs to.
    pub acoustid: AcoustId,
    /// How it sounds: Chromaprint items.
    pub fingerprint: Vec<u32>,
}

/// Compares a fingerprint as it was submitted, in Chromaprint's compressed text form, with known
/// items: likeness in parts per million, or `None` when the text is no fingerprint.
pub type Scorer = fn(submitted: &str, known: &[u32]) -> Option<u32>;

/// What goes wrong, as data. Statuses are answered once each and in order, then service is normal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Statuses for the next requests for releases.
    pub release_status: Vec<u16>,
    /// Statuses for the next lookups of fingerprints.
    pub lookup_status: Vec<u16>,
    /// Seconds to be told in `Retry-After` with every 429 and 503.
    pub retry_after_s: Option<u64>,
    /// Whether asking faster than the real services allow is answered as they answer it.
    pub limit_rate: bool,
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct MetadataServer {
    address: SocketAddr,
    world: Arc<World>,
    /// Dropped with the server, which is the signal to end.
    _running: oneshot::Sender<()>,
}

/// What all requests see.
#[derive(Debug)]
struct World {
    catalogue: Catalogue,
    scorer: Scorer,
    faults: Mutex<Faults>,
    releases: Pace,
    lookups: Pace,
}

impl MetadataServer {
    /// Listens at `address` (port 0 for any) and serves until dropped. Must be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub fn start(address: SocketAddr, catalogue: Catalogue, scorer: Scorer) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let world = Arc::new(World {
            catalogue,
            scorer,
            faults: Mutex::default(),
            releases: Pace::musicbrainz(),
            lookups: Pace::acoustid(),
        });
        let routes = Router::new()
            .route("/ws/2/release/{id}", get(release::answer))
            .route("/v2/lookup", post(lookup::answer))
            .with_state(Arc::clone(&world));
        let (running, ended) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let served = axum::serve(listener, routes).with_graceful_shutdown(async {
                // The sender is never used: its end is the message.
                let _ = ended.await;
            });
            if let Err(error) = served.await {
                tracing::warn!(%error, "the local metadata server ended");
            }
        });
        Ok(Self { address, world, _running: running })
    }

    /// Where it serves both services: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces what goes wrong from the next request on.
    pub fn set_faults(&self, faults: Faults) {
        *self.world.faults() = faults;
    }
}

impl World {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        // Faults are replaced whole or shortened by one, so there is no half-done state to fear.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults {
    /// The status that goes wrong next, if one does.
    fn next(statuses: &mut Vec<u16>) -> Option<StatusCode> {
        if statuses.is_empty() {
            return None;
        }
        StatusCode::from_u16(statuses.remove(0)).ok()
    }

    /// An answer with this status, and with `Retry-After` where the real services may send one.
    fn answer(&self, status: StatusCode, body: impl IntoResponse) -> Response {
        let waits =
            matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        match self.retry_after_s.filter(|_| waits) {
            Some(seconds) => {
                (status, [(header::RETRY_AFTER, seconds.to_string())], body).into_response()
            }
            None => (status, body).into_response(),
        }
    }
}

/// Both services want to know which program asks.
fn names_itself(headers: &HeaderMap) -> bool {
    headers.get(header::USER_AGENT).is_some_and(|agent| !agent.is_empty())
}
