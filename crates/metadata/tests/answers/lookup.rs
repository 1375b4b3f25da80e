//! One request for a fingerprint: what is sent, and what every way of failing is called.

use domain::observation::{IdentityMatch, LookupFault};
use domain::score::Ppm;
use metadata::AcoustId;

use crate::service::{Service, fixture, mbid, nobody};

const AGENT: &str = "reprise-test/0 ( https://example.org/contact )";

fn client(url: &str, key: Option<&str>) -> AcoustId {
    AcoustId::new(url, key.map(str::to_owned), AGENT).unwrap()
}

async fn fault_of(status: u16, headers: &[(&'static str, &str)], body: Vec<u8>) -> LookupFault {
    let service = Service::answering(status, headers, body).await;
    client(&service.url, Some("key")).lookup(1000, "AQAA").await.unwrap_err()
}

#[tokio::test]
async fn a_fingerprint_is_posted_with_the_length_in_seconds() {
    let service = Service::answering(200, &[], fixture("acoustid/matches.json")).await;
    let matches = client(&service.url, Some("k&y")).lookup(183_999, "AQAD-_x").await.unwrap();
    assert_eq!(
        matches,
        [
            IdentityMatch { acoustid: mbid(0x5003), score: Ppm::ONE, recordings: vec![] },
            IdentityMatch {
                acoustid: mbid(0x5001),
                score: Ppm(983_412),
                recordings: vec![mbid(0x4001), mbid(0x4009)],
            },
            IdentityMatch {
                acoustid: mbid(0x5002),
                score: Ppm(710_000),
                recordings: vec![mbid(0x4002)],
            },
        ]
    );
    let asked = service.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/v2/lookup");
    assert_eq!(asked[0].headers["user-agent"], AGENT);
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(
        asked[0].body,
        "format=json&client=k%26y&duration=183&fingerprint=AQAD-_x&meta=recordingids"
    );
}

#[tokio::test]
async fn a_sound_nobody_knows_has_no_matches() {
    let service = Service::answering(200, &[], fixture("acoustid/nothing.json")).await;
    assert_eq!(client(&service.url, Some("key")).lookup(1000, "AQAA").await, Ok(vec![]));
}

#[tokio::test]
async fn without_a_key_nobody_is_asked() {
    let service = Service::answering(200, &[], fixture("acoustid/nothing.json")).await;
    for key in [None, Some(""), Some("  ")] {
        let fault = client(&service.url, key).lookup(1000, "AQAA").await.unwrap_err();
        assert_eq!(
            fault.to_string(),
            "refused: no AcoustID key configured; get one free at acoustid.org and set acoustid.key"
        );
    }
    assert!(service.asked().is_empty());
}

#[tokio::test]
async fn errors_are_told_apart_by_acoustids_own_numbers() {
    assert_eq!(
        fault_of(400, &[], fixture("acoustid/error-key.json")).await,
        LookupFault::Refused("invalid API key (AcoustID error 4)".into())
    );
    for status in [200, 429] {
        assert_eq!(
            fault_of(status, &[("retry-after", "2")], fixture("acoustid/error-too-many.json"))
                .await,
            LookupFault::Busy { status: 429, retry_after_ms: Some(2000) }
        );
    }
    assert_eq!(
        fault_of(500, &[], br#"{"status":"error","error":{"code":5,"message":"internal"}}"#.into())
            .await,
        LookupFault::Busy { status: 500, retry_after_ms: None }
    );
}

#[tokio::test]
async fn a_fault_of_one_file_is_told_apart_from_a_fault_of_ours() {
    let trouble = |code: u32| {
        format!(r#"{{"status":"error","error":{{"code":{code},"message":"no"}}}}"#).into_bytes()
    };
    // Fingerprint, duration, fingerprint again: the next file may be known.
    for code in [3, 8, 18] {
        assert_eq!(fault_of(400, &[], trouble(code)).await, LookupFault::NotFound, "{code}");
    }
    // Format, parameters, keys, application: every file would fail.
    for code in [1, 2, 4, 6, 12, 17] {
        let fault = fault_of(400, &[], trouble(code)).await;
        assert_eq!(fault, LookupFault::Refused(format!("no (AcoustID error {code})")));
    }
}

#[tokio::test]
async fn answers_of_something_else_are_told_apart_by_their_status() {
    assert_eq!(
        fault_of(502, &[], b"<html>".into()).await,
        LookupFault::Busy { status: 502, retry_after_ms: None }
    );
    assert_eq!(
        fault_of(302, &[("location", "http://example.invalid/")], vec![]).await,
        LookupFault::Refused("HTTP 302".into())
    );
    for body in ["", "<html>", "{}", r#"{"status":"ok"}"#, r#"{"status":"ok","results":[{}]}"#] {
        let fault = fault_of(200, &[], body.into()).await;
        assert!(matches!(fault, LookupFault::Malformed(_)), "{body}: {fault:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_the_key_is_not_told() {
    let client = client(&nobody(), Some("secret-key"));
    let fault = client.lookup(1000, "AQAA").await.unwrap_err();
    assert!(matches!(fault, LookupFault::Unreachable(_)));
    assert!(!format!("{client:?}{fault:?}").contains("secret-key"));
}
