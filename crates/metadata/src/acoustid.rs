//! Asks AcoustID which recordings sound like a fingerprint (web service 2). How its answer is read
//! is in [`mod@matches`]; whether a match proves anything is decided in crate `engine`.
//!
//! <https://acoustid.org/webservice>

pub mod matches;

use std::fmt;
use std::time::Duration;

use domain::observation::{IdentityMatch, LookupFault};
use reqwest::redirect;

use crate::http::{Answer, Service, SetupError};

/// AcoustID allows three requests per second.
pub const MIN_INTERVAL: Duration = Duration::from_millis(334);

/// Ten matches with hundreds of recordings each stay far below this.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// An AcoustID server.
#[derive(Clone)]
pub struct AcoustId {
    service: Service,
    client_key: Option<String>,
}

impl AcoustId {
    /// A client of the server at `base_url`. Without a key every lookup is refused, and says how to
    /// get one.
    ///
    /// # Errors
    /// [`SetupError`], with the part of the configuration that cannot be used.
    pub fn new(
        base_url: &str,
        client_key: Option<String>,
        user_agent: &str,
    ) -> Result<Self, SetupError> {
        // A redirect would carry the key to wherever it points.
        let service = Service::new(base_url, user_agent, redirect::Policy::none())?;
        Ok(Self { service, client_key: client_key.filter(|key| !key.trim().is_empty()) })
    }

    /// Asks once what a file of this length and fingerprint (in Chromaprint's compressed text form)
    /// is; best match first, empty when AcoustID knows nothing like it.
    ///
    /// # Errors
    /// [`LookupFault`], with whatever kept AcoustID from answering usefully.
    pub async fn lookup(
        &self,
        duration_ms: u64,
        fingerprint_compressed: &str,
    ) -> Result<Vec<IdentityMatch>, LookupFault> {
        let Some(key) = &self.client_key else {
            return Err(LookupFault::Refused(
                "no AcoustID key configured; get one free at acoustid.org and set acoustid.key"
                    .into(),
            ));
        };
        let request = self.service.post("/v2/lookup").form(&[
            ("format", "json"),
            ("client", key),
            ("duration", &(duration_ms / 1000).to_string()),
            ("fingerprint", fingerprint_compressed),
            ("meta", "recordingids"),
        ]);
        let answer = Answer::to(request, LARGEST_ANSWER).await?;
        match matches::read(&answer.body) {
            Ok(matches) if answer.is_success() => Ok(matches),
            Err(matches::Unread::Trouble(trouble)) => Err(trouble.fault(&answer)),
            Err(matches::Unread::NotAsDocumented(what)) if answer.is_success() => {
                Err(LookupFault::Malformed(what))
            }
            Ok(_) | Err(matches::Unread::NotAsDocumented(_)) => Err(answer.fault(None)),
        }
    }
}

impl fmt::Debug for AcoustId {
    /// Without the key, which belongs to whoever runs the node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcoustId").field("service", &self.service).finish_non_exhaustive()
    }
}
