//! The server as the node's own clients see it, through real sockets.

// The lint spares test functions but not what they call.
#![allow(clippy::unwrap_used)]

use domain::observation::{IdentityMatch, LookupFault};
use domain::score::Ppm;
use domain::target::Credit;
use domain::{Target, Track};
use loopback::metadata_server::{Catalogue, Faults, KnownSound, MetadataServer};
use metadata::{AcoustId, MusicBrainz};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const AGENT: &str = "reprise-test/0 ( https://example.org/contact )";

fn mbid<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u32) -> T {
    format!("{number:08x}-7e57-4000-8000-0000{number:08x}").parse().unwrap()
}

fn track(medium: u16, position: u16, seconds: u64) -> Track {
    let number = u32::from(medium * 100 + position);
    Track {
        id: mbid(0x3000 + number),
        recording: mbid(0x4000 + number),
        medium,
        position,
        title: format!("Track {medium}-{position}"),
        credit: Credit { name: "Two & One".into(), artists: vec![mbid(0xa1), mbid(0xa2)] },
        duration_ms: Some(seconds * 1000 + 321),
        isrcs: vec![format!("GBXXX98{number:05}")],
    }
}

fn album() -> Target {
    Target {
        release: mbid(0x1001),
        group: Some(mbid(0x2001)),
        title: "Low Water".into(),
        credit: Credit { name: "Two".into(), artists: vec![mbid(0xa1)] },
        date: "1998-04".into(),
        country: String::new(),
        label: "Quayside".into(),
        barcode: String::new(),
        media: 3,
        tracks: vec![track(1, 1, 180), track(1, 2, 200), track(2, 1, 220)],
    }
}

/// Fingerprints of these tests are written as numbers; likeness is one share per equal item.
fn count_equal(submitted: &str, known: &[u32]) -> Option<u32> {
    let items: Vec<u32> =
        submitted.split(',').map(|item| item.parse().ok()).collect::<Option<_>>()?;
    let equal = items.iter().zip(known).filter(|(one, other)| one == other).count();
    u32::try_from(equal * 1_000_000 / known.len()).ok()
}

fn server() -> MetadataServer {
    let sound = |acoustid, medium, position, items: [u32; 4]| KnownSound {
        recording: track(medium, position, 0).recording,
        acoustid: mbid(acoustid),
        fingerprint: items.into(),
    };
    let sounds = vec![
        sound(0x5001, 1, 1, [1, 2, 3, 4]),
        sound(0x5001, 1, 2, [1, 2, 3, 5]),
        sound(0x5002, 2, 1, [1, 2, 9, 9]),
    ];
    let catalogue = Catalogue { releases: vec![album()], sounds };
    MetadataServer::start("127.0.0.1:0".parse().unwrap(), catalogue, count_equal).unwrap()
}

fn musicbrainz(server: &MetadataServer) -> MusicBrainz {
    MusicBrainz::new(&server.url(), AGENT).unwrap()
}

fn acoustid(server: &MetadataServer) -> AcoustId {
    AcoustId::new(&server.url(), Some("key".into()), AGENT).unwrap()
}

#[tokio::test]
async fn a_release_comes_back_as_it_is_in_the_catalogue() {
    let server = server();
    assert_eq!(musicbrainz(&server).release(mbid(0x1001)).await, Ok(album()));
    assert_eq!(musicbrainz(&server).release(mbid(0x1002)).await, Err(LookupFault::NotFound));
}

#[tokio::test]
async fn a_sound_is_known_by_likeness_and_length() {
    let server = server();
    let found = acoustid(&server).lookup(180_000, "1,2,3,4").await.unwrap();
    assert_eq!(
        found,
        [IdentityMatch { acoustid: mbid(0x5001), score: Ppm::ONE, recordings: vec![mbid(0x4065)] }]
    );
    let long = acoustid(&server).lookup(210_000, "1,2,9,9").await.unwrap();
    assert_eq!(long, []);
    let right = acoustid(&server).lookup(215_000, "1,2,9,9").await.unwrap();
    assert_eq!((right.len(), right[0].acoustid), (1, mbid(0x5002)));
    assert_eq!(acoustid(&server).lookup(180_000, "7,7,7,7").await, Ok(vec![]));
}

#[tokio::test]
async fn what_is_no_fingerprint_is_refused() {
    // Error 3 of AcoustID: a fault of this one file, so the client takes it for unknown. A sound that
    // is merely unknown has an empty answer instead.
    let fault = acoustid(&server()).lookup(180_000, "noise").await.unwrap_err();
    assert_eq!(fault, LookupFault::NotFound);
}

#[tokio::test]
async fn faults_come_once_each_and_in_order() {
    let server = server();
    server.set_faults(Faults {
        release_status: vec![503, 500],
        lookup_status: vec![429, 400],
        retry_after_s: Some(3),
        limit_rate: false,
    });
    let releases = musicbrainz(&server);
    assert_eq!(
        releases.release(mbid(0x1001)).await,
        Err(LookupFault::Busy { status: 503, retry_after_ms: Some(3000) })
    );
    assert_eq!(
        releases.release(mbid(0x1001)).await,
        Err(LookupFault::Busy { status: 500, retry_after_ms: None })
    );
    assert_eq!(releases.release(mbid(0x1001)).await, Ok(album()));
    let sounds = acoustid(&server);
    assert_eq!(
        sounds.lookup(1000, "1").await,
        Err(LookupFault::Busy { status: 429, retry_after_ms: Some(3000) })
    );
    assert_eq!(
        sounds.lookup(1000, "1").await,
        Err(LookupFault::Refused("invalid API key (AcoustID error 4)".into()))
    );
    assert_eq!(sounds.lookup(1000, "1").await, Ok(vec![]));
}

#[tokio::test]
async fn asking_too_fast_is_refused_when_told_to() {
    let server = server();
    let client = musicbrainz(&server);
    for _ in 0..3 {
        assert!(client.release(mbid(0x1001)).await.is_ok());
    }
    server.set_faults(Faults { limit_rate: true, ..Faults::default() });
    let mut refused = 0;
    for _ in 0..5 {
        match client.release(mbid(0x1001)).await {
            Err(LookupFault::Busy { status: 503, retry_after_ms: None }) => refused += 1,
            other => assert_eq!(other, Ok(album())),
        }
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn who_does_not_say_who_asks_is_refused() {
    let server = server();
    let address = server.url().replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "GET /ws/2/release/{}?fmt=json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n",
        album().release
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn dropping_the_server_ends_it() {
    let server = server();
    let client = musicbrainz(&server);
    assert!(client.release(mbid(0x1001)).await.is_ok());
    drop(server);
    // The end is a message to the task that listens, so a request or two may still slip in.
    for _ in 0..1000 {
        if let Err(LookupFault::Unreachable(_)) = client.release(mbid(0x1001)).await {
            return;
        }
    }
    panic!("it still answers");
}
