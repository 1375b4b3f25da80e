//! Who may talk to a node that listens on a person's own machine. Every page in a browser there can
//! reach it, so each request, WebSocket upgrades included, must name this node as its host and must
//! not come from another site. It knows no users: reaching the address is all the right there is,
//! which is why [`crate::server`] listens on loopback only.
//!
//! Two attacks are meant. A page whose name is made to point at 127.0.0.1 (DNS rebinding) still sends
//! its own name as `Host`. A page that sends us a form or opens a socket (cross-site request forgery)
//! is given away by `Origin` or `Sec-Fetch-Site`, which pages cannot forge.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names this node answers to, besides IP addresses and `localhost`.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    hosts: Arc<[String]>,
}

impl Guard {
    /// A guard that lets these host names pass too: the setting `api.hosts`.
    #[must_use]
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self { hosts: hosts.into_iter().map(|host| plain_name(&host)).collect() }
    }

    /// Whether a request may pass.
    ///
    /// # Errors
    /// What speaks against it, and which setting would allow it.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut named = headers.get_all(header::HOST).iter();
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().unwrap_or_default(),
            _ => return Err(unclear_host()),
        };
        if !self.is_ours(host) {
            return Err(foreign_host(host));
        }
        // A request line may carry a host of its own, and then that is the one that counts.
        if let Some(authority) = uri.authority()
            && !self.is_ours(authority.as_str())
        {
            return Err(foreign_host(authority.as_str()));
        }
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
        if let Some(site) = sites.find(|site| *site != "same-origin" && *site != "none") {
            return Err(foreign_page(site.to_str().unwrap_or("another site")));
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if let Some(origin) =
            origins.find(|origin| !is_same_origin(origin.to_str().unwrap_or_default(), host))
        {
            return Err(foreign_page(origin.to_str().unwrap_or("another site")));
        }
        Ok(())
    }

    fn is_ours(&self, host_and_port: &str) -> bool {
        let Some(host) = split_port(host_and_port).map(|(host, _)| host) else { return false };
        if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return literal.parse::<Ipv6Addr>().is_ok();
        }
        let name = plain_name(host);
        // An address cannot be made to point elsewhere; only names can.
        name == "localhost" || name.parse::<Ipv4Addr>().is_ok() || self.hosts.contains(&name)
    }
}

/// The guard as a layer around all routes.
pub(crate) async fn stand(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            tracing::warn!(refused = problem.detail, "a request was refused");
            problem.into_response()
        }
    }
}

fn unclear_host() -> Problem {
    Problem {
        status: StatusCode::BAD_REQUEST,
        title: "unclear host",
        detail: "a request needs exactly one Host header".into(),
    }
}

fn foreign_host(host: &str) -> Problem {
    let host: String = host.chars().take(100).collect();
    Problem {
        status: StatusCode::MISDIRECTED_REQUEST,
        title: "foreign host",
        detail: format!(
            "this node does not go by the name {host:?}; if it should, add the name to api.hosts in \
             the configuration, or use its IP address"
        ),
    }
}

fn foreign_page(site: &str) -> Problem {
    let site: String = site.chars().take(100).collect();
    Problem {
        status: StatusCode::FORBIDDEN,
        title: "foreign page",
        detail: format!(
            "pages of other sites ({site:?}) may not use this node; a page served under a name \
             listed in api.hosts may"
        ),
    }
}

/// Whether a page of `origin` was served under the very `host` that it now talks to. A node cannot
/// see whether something before it speaks TLS, so both schemes are well; only the name counts.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let (rest, usual_port) = match origin.split_once("://") {
        Some(("http", rest)) => (rest, "80"),
        Some(("https", rest)) => (rest, "443"),
        // Among them `null`, the origin of files and of sandboxed pages.
        _ => return false,
    };
    let (Some((page, page_port)), Some((ours, our_port))) = (split_port(rest), split_port(host))
    else {
        return false;
    };
    plain_name(page) == plain_name(ours)
        && page_port.unwrap_or(usual_port) == our_port.unwrap_or(usual_port)
}

/// Host and port of `host[:port]`; `None` when it is not of that form.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    // The colons of an IPv6 address stand within brackets.
    let after_literal = text.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match text.get(after_literal..)?.find(':') {
        Some(colon) => (&text[..after_literal + colon], Some(&text[after_literal + colon + 1..])),
        None => (text, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    (!host.is_empty() && port.is_none_or(is_port)).then_some((host, port))
}

/// Names are compared in lower case and without the dot that may end them.
fn plain_name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn refusal(headers: &[(&'static str, &'static str)]) -> Option<StatusCode> {
        let guard = Guard::new(["Music.Example".to_owned()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        guard.check(&Uri::from_static("/graphql"), &map).err().map(|problem| problem.status)
    }

    #[test]
    fn names_of_this_node_pass() {
        for host in [
            "localhost",
            "localhost:5050",
            "LOCALHOST.:5050",
            "127.0.0.1:5050",
            "192.168.1.7",
            "[::1]:5050",
            "[fe80::1]",
            "music.example",
            "music.example:8443",
        ] {
            assert_eq!(refusal(&[("host", host)]), None, "{host}");
        }
    }

    #[test]
    fn other_names_do_not() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "music.example.evil.example",
            "evil.example:5050",
            "user@localhost",
            "localhost:5050:1",
            "localhost:+80",
            "[::1",
            "[evil.example]",
            ":5050",
            "",
        ] {
            let status = Some(StatusCode::MISDIRECTED_REQUEST);
            assert_eq!(refusal(&[("host", host)]), status, "{host}");
        }
    }

    #[test]
    fn a_host_is_named_exactly_once() {
        assert_eq!(refusal(&[]), Some(StatusCode::BAD_REQUEST));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(refusal(&twice), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn a_host_in_the_request_line_counts_too() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost"));
        let uri = Uri::from_static("http://evil.example/graphql");
        assert!(Guard::default().check(&uri, &headers).is_err());
    }

    #[test]
    fn pages_of_this_node_pass_and_others_do_not() {
        for (host, origin, passes) in [
            ("127.0.0.1:5050", "http://127.0.0.1:5050", true),
            ("[::1]:5050", "http://[::1]:5050", true),
            ("music.example", "https://music.example", true),
            ("music.example:443", "https://music.example", true),
            ("localhost:5050", "http://LOCALHOST:5050", true),
            ("localhost:5050", "http://localhost:3000", false),
            ("localhost:5050", "http://127.0.0.1:5050", false),
            ("localhost:5050", "https://evil.example", false),
            ("localhost:5050", "null", false),
            ("localhost:5050", "file://localhost:5050", false),
            ("localhost:5050", "", false),
        ] {
            let refused = refusal(&[("host", host), ("origin", origin)]);
            let expected = (!passes).then_some(StatusCode::FORBIDDEN);
            assert_eq!(refused, expected, "{origin} to {host}");
        }
    }

    #[test]
    fn a_browser_that_tells_the_site_is_believed() {
        for (site, passes) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            let refused = refusal(&[("host", "localhost"), ("sec-fetch-site", site)]);
            assert_eq!(refused.is_none(), passes, "{site}");
        }
    }
}
