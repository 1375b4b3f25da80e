//! The search over GraphQL: what it finds, page by page, and what it says of a text it cannot take.

use domain::target::Credit;
use domain::{
    Decision, Input, JobId, Observation, RecordingId, ReleaseId, Target, Track, TrackKey,
};
use domain::{PeerId, SourceId, id::TrackId, score::Ppm};
use serde_json::{Value, json};

use crate::node::Node;
use crate::views::{add, decide};

/// An album of three tracks, one of which is offered, and one of which is there.
async fn album() -> (Node, String) {
    let node = Node::start(decide).await;
    add(&node, 1).await;
    let job = JobId(1);
    let credit = Credit { name: "My Bloody Valentine".into(), artists: vec![] };
    let track = |position: u16, title: &str| Track {
        id: TrackId([position as u8; 16]),
        recording: RecordingId([position as u8; 16]),
        medium: 1,
        position,
        title: title.into(),
        credit: credit.clone(),
        duration_ms: None,
        isrcs: vec![],
    };
    let tracks = vec![track(1, "Only Shallow"), track(2, "Loomer"), track(3, "Sometimes")];
    let target = Target {
        release: ReleaseId([1; 16]),
        title: "Loveless".into(),
        credit: credit.clone(),
        date: "1991".into(),
        media: 1,
        tracks,
        group: None,
        country: String::new(),
        label: String::new(),
        barcode: String::new(),
    };
    node.happens(Input::Observation(Observation::ReleaseFetched { job, target }), &[]);
    let (first, third) = (TrackKey { job, index: 0 }, TrackKey { job, index: 2 });
    let last = node.happens(
        Input::Observation(Observation::DeadlineReached),
        &[
            Decision::SourceFound {
                track: third,
                source: SourceId(4),
                peer: PeerId::Soulseek("ada".into()),
                path: r"shared\MBV\03 Sometimes.flac".into(),
                size: 31_337,
                likeness: Ppm(900_000),
            },
            Decision::TrackCompleted { track: first, attempt: 1, path: "MBV/01 Only.flac".into() },
        ],
    );
    (node, last.to_string())
}

fn nodes(answer: &Value) -> Value {
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"]["search"]["nodes"].clone()
}

#[tokio::test]
async fn everything_is_found_by_words_as_of_the_position_waited_for() {
    let (node, last) = album().await;
    let ask = async |text: &str, kind: &str| {
        let text = json!(text);
        let answer = node
            .ask(&format!(
                r#"{{ search(text: {text}, minPosition: "{last}" {kind}) {{ indexedPosition nodes {{
                    __typename
                    ... on FoundJob {{ job release title artist jobState: state }}
                    ... on FoundTrack {{ job number title trackState: state }}
                    ... on FoundSource {{ job track number peer path size sourceState: state }}
                    ... on FoundFile {{ job track path recording }} }} }} }}"#
            ))
            .await;
        assert_eq!(answer["data"]["search"]["indexedPosition"], json!(last), "{answer}");
        nodes(&answer)
    };
    let job = json!({
        "__typename": "FoundJob", "job": "1", "release": ReleaseId([1; 16]).to_string(),
        "title": "Loveless", "artist": "My Bloody Valentine", "jobState": "ACTIVE",
    });
    assert_eq!(ask("bloody love", "").await, json!([job]));
    let track = json!({
        "__typename": "FoundTrack", "job": "1", "number": 3, "title": "Sometimes",
        "trackState": "WANTED",
    });
    let source = json!({
        "__typename": "FoundSource", "job": "1", "track": 3, "number": 4, "peer": "slsk:ada",
        "path": r"shared\MBV\03 Sometimes.flac", "size": "31337", "sourceState": "CANDIDATE",
    });
    assert_eq!(ask("some", "").await, json!([track, source]));
    assert_eq!(ask("user:ada some", "").await, json!([source]));
    assert_eq!(ask("some", "kind: SOURCE").await, json!([source]));
    let file = json!({
        "__typename": "FoundFile", "job": "1", "track": 1, "path": "MBV/01 Only.flac",
        "recording": RecordingId([1; 16]).to_string(),
    });
    assert_eq!(ask("mbv", "kind: FILE").await, json!([file]));
    assert_eq!(ask("nothing at all", "").await, json!([]));
}

#[tokio::test]
async fn pages_follow_each_other() {
    let (node, last) = album().await;
    let mut after = String::new();
    let mut seen = Vec::new();
    loop {
        let answer = node
            .ask(&format!(
                r#"{{ search(text: "valentine", first: 1, minPosition: "{last}" {after}) {{
                    pageInfo {{ hasNextPage endCursor }}
                    nodes {{ ... on FoundJob {{ title }} ... on FoundTrack {{ title }} }} }} }}"#
            ))
            .await;
        seen.push(nodes(&answer)[0]["title"].clone());
        let page = &answer["data"]["search"]["pageInfo"];
        if page["hasNextPage"] == false {
            break;
        }
        after = format!("after: {}", page["endCursor"]);
    }
    assert_eq!(seen, ["Loveless", "Loomer", "Sometimes", "Only Shallow"]);
}

#[tokio::test]
async fn what_cannot_be_taken_is_said() {
    let node = Node::start(decide).await;
    for (asked, said) in [
        (r#"text: """#, "nothing is asked for"),
        (r#"text: "\"only""#, "a quotation mark is not closed"),
        (r#"text: "a", after: "1.2""#, "this is no cursor of a search"),
        (r#"text: "a", first: 0"#, "first is between 1 and 100"),
    ] {
        let answer = node.ask(&format!("{{ search({asked}) {{ indexedPosition }} }}")).await;
        let error = &answer["errors"][0];
        assert!(error["message"].as_str().unwrap().contains(said), "{answer}");
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
    }
    let asked = r#"{ search(text: "a", minPosition: "9") { indexedPosition } }"#;
    let answer = node.ask(asked).await;
    let error = &answer["errors"][0];
    assert_eq!(error["message"], "event 9 is not taken in yet, only up to event 0");
    assert_eq!(error["extensions"]["code"], "NOT_READY");
}
