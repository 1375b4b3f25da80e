//! A service on this machine that gives one prepared answer to everything and keeps what it was
//! asked. Not a stand-in for a whole MusicBrainz; that one is `loopback::metadata_server`.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

/// What the service was asked.
pub struct Asked {
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// A running service; it ends with the test's runtime.
pub struct Service {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    pub async fn answering(
        status: u16,
        headers: &[(&'static str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let status = StatusCode::from_u16(status).unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let (kept, body) = (Arc::clone(&asked), Bytes::from(body.into()));
        let answer = move |uri: Uri, seen: HeaderMap, sent: Bytes| async move {
            kept.lock().unwrap().push(Asked {
                path: uri.path().to_owned(),
                query: uri.query().unwrap_or_default().to_owned(),
                headers: seen,
                body: String::from_utf8(sent.to_vec()).unwrap(),
            });
            (status, headers, body)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
        });
        Self { url, asked }
    }

    /// Everything asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// An address nobody listens at.
pub fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// An address where connections are taken and never answered, for as long as the listener lives.
pub fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A file under `fixtures/`.
pub fn fixture(name: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/");
    std::fs::read(format!("{root}{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The ID that the fixtures give the thing numbered `number`.
pub fn mbid<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u32) -> T {
    format!("{number:08x}-7e57-4000-8000-0000{number:08x}").parse().unwrap()
}
