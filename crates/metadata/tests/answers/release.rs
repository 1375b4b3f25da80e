//! One request for a release: what is sent, and what every way of failing is called.

use domain::observation::LookupFault;
use metadata::MusicBrainz;

use crate::service::{Service, fixture, gzip, mbid, nobody, silent};

const AGENT: &str = "reprise-test/0 ( https://example.org/contact )";

async fn fault(url: &str) -> LookupFault {
    MusicBrainz::new(url, AGENT).unwrap().release(mbid(0x1001)).await.unwrap_err()
}

async fn fault_of(status: u16, headers: &[(&'static str, &str)], body: &str) -> LookupFault {
    fault(&Service::answering(status, headers, body).await.url).await
}

#[tokio::test]
async fn one_request_asks_for_everything_and_says_who_asks() {
    let service = Service::answering(200, &[], fixture("musicbrainz/two-media.json")).await;
    let client = MusicBrainz::new(&service.url, AGENT).unwrap();
    let target = client.release(mbid(0x1001)).await.unwrap();
    assert_eq!((target.release, target.tracks.len()), (mbid(0x1001), 4));

    let asked = service.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/ws/2/release/00001001-7e57-4000-8000-000000001001");
    assert_eq!(
        asked[0].query,
        "inc=recordings+artist-credits+labels+isrcs+release-groups+media&fmt=json"
    );
    assert_eq!(asked[0].headers["user-agent"], AGENT);
    assert!(asked[0].headers["accept-encoding"].to_str().unwrap().contains("gzip"));
}

#[tokio::test]
async fn a_packed_answer_is_unpacked() {
    let packed = gzip(&fixture("musicbrainz/two-media.json"));
    let service = Service::answering(200, &[("content-encoding", "gzip")], packed).await;
    let client = MusicBrainz::new(&service.url, AGENT).unwrap();
    assert_eq!(client.release(mbid(0x1001)).await.unwrap().title, "Low Water, High Windows");
}

#[tokio::test]
async fn a_merged_release_is_known_by_its_new_id() {
    let service = Service::answering(200, &[], fixture("musicbrainz/two-media.json")).await;
    let client = MusicBrainz::new(&service.url, AGENT).unwrap();
    assert_eq!(client.release(mbid(0x9999)).await.unwrap().release, mbid(0x1001));
}

#[tokio::test]
async fn every_status_is_the_fault_it_means() {
    let not_found = String::from_utf8(fixture("musicbrainz/error-not-found.json")).unwrap();
    assert_eq!(fault_of(404, &[], &not_found).await, LookupFault::NotFound);
    assert_eq!(
        fault_of(503, &[("retry-after", "7")], "{}").await,
        LookupFault::Busy { status: 503, retry_after_ms: Some(7000) }
    );
    assert_eq!(
        fault_of(429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], "").await,
        LookupFault::Busy { status: 429, retry_after_ms: None }
    );
    assert_eq!(
        fault_of(502, &[], "<html>").await,
        LookupFault::Busy { status: 502, retry_after_ms: None }
    );
    assert_eq!(
        fault_of(400, &[], r#"{"error":"Invalid mbid.\nReally."}"#).await,
        LookupFault::Refused("HTTP 400: Invalid mbid. Really.".into())
    );
    assert_eq!(fault_of(403, &[], "no").await, LookupFault::Refused("HTTP 403".into()));
}

#[tokio::test]
async fn an_answer_that_is_no_release_is_malformed() {
    for body in ["", "<html>", "[]", "{}", r#"{"id":"x","media":[]}"#, r#"{"media":7}"#] {
        let fault = fault_of(200, &[], body).await;
        assert!(matches!(fault, LookupFault::Malformed(_)), "{body}: {fault:?}");
    }
}

#[tokio::test]
async fn an_answer_too_long_is_not_read_to_its_end() {
    let long = vec![b' '; 9 * 1024 * 1024];
    let packed = gzip(&long);
    assert!(packed.len() < 64 * 1024);
    let service = Service::answering(200, &[("content-encoding", "gzip")], packed).await;
    assert_eq!(
        fault(&service.url).await,
        LookupFault::Malformed("answer longer than 8388608 bytes".into())
    );
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let LookupFault::Unreachable(detail) = fault(&nobody()).await else { panic!() };
    assert!(detail.starts_with("cannot connect: "), "{detail}");
    assert!(!detail.contains("http://"), "{detail}");
}

#[tokio::test]
async fn an_answer_cut_short_is_unreachable() {
    let service =
        Service::answering(200, &[("content-encoding", "gzip")], &gzip(&[b' '; 4096])[..20]).await;
    let LookupFault::Unreachable(detail) = fault(&service.url).await else { panic!() };
    assert!(detail.starts_with("connection broke off: "), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn waiting_has_an_end() {
    let (_listener, url) = silent();
    let LookupFault::Unreachable(detail) = fault(&url).await else { panic!() };
    assert!(detail.starts_with("no answer within "), "{detail}");
}
