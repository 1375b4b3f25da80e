//! The HTTP both services share: addresses checked once, time and size limits, and what a status or
//! a broken connection means. Knows no service; requests are made in [`crate::musicbrainz`] and
//! [`crate::acoustid`].

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use domain::observation::LookupFault;
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};

/// Time to reach a service, name look-up and TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Time from the first byte sent to the last byte received.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Longest piece of a service's own words that is kept, in characters.
const LONGEST_WORDS: usize = 200;

/// Why a client cannot be made from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address is not one of HTTP.
    #[error("{0:?} is not an http or https address such as https://example.org")]
    Address(String),
    /// The User-Agent is empty or holds characters that no header may hold.
    #[error("{0:?} cannot be sent as a User-Agent; use printable ASCII")]
    UserAgent(String),
    /// TLS could not be prepared.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
}

/// Where one service is, and how to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    base: String,
    client: Client,
}

/// A whole answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Service {
    pub(crate) fn new(
        base_url: &str,
        user_agent: &str,
        redirects: redirect::Policy,
    ) -> Result<Self, SetupError> {
        let base = address(base_url)?;
        let agent = HeaderValue::from_str(user_agent)
            .ok()
            .filter(|_| !user_agent.trim().is_empty())
            .ok_or_else(|| SetupError::UserAgent(user_agent.to_owned()))?;
        // An error means that somebody chose a provider for this process before; theirs serves too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(agent)
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(redirects);
        if is_loopback(&base) {
            // A proxy is the way to the outside and knows nothing of what runs on this machine.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(SetupError::Client)?;
        Ok(Self { base: base.as_str().trim_end_matches('/').to_owned(), client })
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base))
    }
}

impl Answer {
    /// Sends a request and reads the answer to its end, refusing more than `cap` bytes. The cap
    /// counts unpacked bytes, so a small body that unpacks to a large one stops there too.
    pub(crate) async fn to(request: RequestBuilder, cap: usize) -> Result<Self, LookupFault> {
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let retry_after_ms = retry_after_ms(&response);
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > cap {
                return Err(LookupFault::Malformed(format!("answer longer than {cap} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Self { status, retry_after_ms, body })
    }

    /// What a status other than success means; `words` are the service's own.
    pub(crate) fn fault(&self, words: Option<&str>) -> LookupFault {
        match self.status {
            404 => LookupFault::NotFound,
            status @ (429 | 500..) => {
                LookupFault::Busy { status, retry_after_ms: self.retry_after_ms }
            }
            status => LookupFault::Refused(match words {
                Some(words) => format!("HTTP {status}: {}", shortened(words)),
                None => format!("HTTP {status}"),
            }),
        }
    }

    pub(crate) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// Whether a service can be asked at `base_url`, for whoever reads it long before it is asked.
///
/// # Errors
/// [`SetupError::Address`].
pub fn check_address(base_url: &str) -> Result<(), SetupError> {
    address(base_url).map(drop)
}

fn address(base_url: &str) -> Result<Url, SetupError> {
    let read = base_url
        .parse()
        .ok()
        .filter(|base: &Url| matches!(base.scheme(), "http" | "https") && base.query().is_none());
    read.ok_or_else(|| SetupError::Address(base_url.to_owned()))
}

/// The beginning of a service's words, on one line.
pub(crate) fn shortened(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_WORDS).collect()
}

/// Whole seconds only: neither service sends the other form, a date.
fn retry_after_ms(response: &Response) -> Option<u64> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000))
}

fn unreachable(error: reqwest::Error) -> LookupFault {
    if error.is_timeout() {
        let limit = if error.is_connect() { CONNECT_WITHIN } else { ANSWER_WITHIN };
        return LookupFault::Unreachable(format!("no answer within {} s", limit.as_secs()));
    }
    // The innermost cause names the fact ("connection refused"); those around it name the libraries
    // it went through, and the outermost would print the address.
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let what = if error.is_connect() { "cannot connect" } else { "connection broke off" };
    LookupFault::Unreachable(shortened(&format!("{what}: {cause}")))
}

fn is_loopback(address: &Url) -> bool {
    let host = address.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(address: &str, agent: &str) -> Result<Service, SetupError> {
        Service::new(address, agent, redirect::Policy::none())
    }

    #[test]
    fn an_address_is_checked_once_and_joined_with_one_slash() {
        let service = setup("http://127.0.0.1:8080/", "reprise/0 ( test )").unwrap();
        let request = service.get("/ws/2/release/x").build().unwrap();
        assert_eq!(request.url().as_str(), "http://127.0.0.1:8080/ws/2/release/x");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_name() {
        for bad in ["", "musicbrainz.org", "ftp://example.org", "http://example.org/?a=b"] {
            assert!(
                matches!(setup(bad, "reprise/0"), Err(SetupError::Address(text)) if text == bad)
            );
        }
        for bad in ["", " ", "reprise\n0"] {
            assert!(matches!(setup("http://localhost", bad), Err(SetupError::UserAgent(_))));
        }
    }
}
