//! Asks MusicBrainz for one release (web service 2). How its answer is read is in
//! [`mod@describe`]; nothing is kept here, the engine's log is the only memory of answers.
//!
//! <https://musicbrainz.org/doc/MusicBrainz_API>

pub mod describe;

use std::time::Duration;

use domain::observation::LookupFault;
use domain::{ReleaseId, Target};
use reqwest::redirect;
use serde::Deserialize;

use crate::http::{Answer, Service, SetupError};

/// MusicBrainz allows one request per second and address on average; a little more apart, because
/// one second is where its refusals begin.
pub const MIN_INTERVAL: Duration = Duration::from_millis(1100);

/// The largest box sets describe themselves in about a quarter of this.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Everything a [`Target`] is made of, in one request.
const WANTED: &str = "recordings+artist-credits+labels+isrcs+release-groups+media";

/// A MusicBrainz server.
#[derive(Debug, Clone)]
pub struct MusicBrainz {
    service: Service,
}

impl MusicBrainz {
    /// A client of the server at `base_url`. MusicBrainz refuses a `user_agent` that does not say
    /// which program asks and how to reach whoever runs it.
    ///
    /// # Errors
    /// [`SetupError`], with the part of the configuration that cannot be used.
    pub fn new(base_url: &str, user_agent: &str) -> Result<Self, SetupError> {
        let service = Service::new(base_url, user_agent, redirect::Policy::limited(3))?;
        Ok(Self { service })
    }

    /// Asks once what a release consists of.
    ///
    /// # Errors
    /// [`LookupFault`], with whatever kept MusicBrainz from answering usefully.
    pub async fn release(&self, release: ReleaseId) -> Result<Target, LookupFault> {
        // The list is written into the address as is: encoded, its plus signs would be no separators.
        let request = self.service.get(&format!("/ws/2/release/{release}?inc={WANTED}&fmt=json"));
        let answer = Answer::to(request, LARGEST_ANSWER).await?;
        if !answer.is_success() {
            return Err(answer.fault(words(&answer.body).as_deref()));
        }
        let described = describe::describe(&answer.body)?;
        if described.target.release != release {
            // Duplicates are merged at MusicBrainz; the old ID goes on to work and names the new one.
            tracing::info!(asked = %release, now = %described.target.release, "release was merged");
        }
        for ignored in &described.ignored {
            tracing::info!(
                %release,
                medium = ignored.medium,
                position = ignored.position,
                title = ignored.title,
                "track is not sought: {}",
                ignored.reason
            );
        }
        Ok(described.target)
    }
}

/// What the service says about an error, if it says so in its own form.
fn words(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Trouble {
        error: String,
    }
    serde_json::from_slice::<Trouble>(body).ok().map(|trouble| trouble.error)
}
