//! What can be read: jobs, what happened in them, the node, and a history as a file.

use std::time::Duration;

use domain::decision::ResumedBy;
use domain::observation::Observation;
use domain::{Command, Decision, Input, JobId, Policy, ReleaseId, Seq};
use eventlog::history::{Header, HistoryReader, Identities};
use serde_json::{Value, json};

use crate::node::Node;

/// Accepts jobs for two releases, numbered after them.
pub fn decide(command: &Command) -> Vec<Decision> {
    match command {
        Command::AddJob { release } => {
            vec![Decision::JobAdded { job: JobId(release.0[0].into()), release: *release }]
        }
        Command::CancelJob { job } => vec![Decision::JobCancelled { job: *job }],
        Command::RetryJob { job } => {
            vec![Decision::JobResumed { job: *job, by: ResumedBy::Person }]
        }
        Command::SkipDeadLetter { .. }
        | Command::SendChat { .. }
        | Command::MarkChatRead { .. } => Vec::new(),
    }
}

/// Adds job `number` as a person would; the position to wait for.
pub async fn add(node: &Node, number: u8) -> String {
    let release = ReleaseId([number; 16]);
    let answer = node
        .ask(&format!(
            r#"mutation {{ addJob(reference: "{release}") {{ ... on JobReceipt {{ seq }} }} }}"#
        ))
        .await;
    answer["data"]["addJob"]["seq"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_job_is_shown_as_of_the_position_waited_for() {
    let node = Node::start(decide).await;
    let seq = add(&node, 1).await;
    assert_eq!(seq, "2");
    let answer = node
        .ask(&format!(
            r#"{{ job(id: "1", minSeq: "{seq}") {{ asOf id release state reason bytesHeld
                tracksTotal addedAt finishedAt changed tracks {{ number }} }}
               unknown: job(id: "9") {{ id }} }}"#
        ))
        .await;
    let job = json!({
        "asOf": "2",
        "id": "1",
        "release": ReleaseId([1; 16]).to_string(),
        "state": "QUEUED",
        "reason": null,
        "bytesHeld": "0",
        "tracksTotal": 0,
        "addedAt": "1000000",
        "finishedAt": null,
        "changed": "2",
        "tracks": [],
    });
    assert_eq!(answer, json!({ "data": { "job": job, "unknown": null } }));
}

/// Whoever asks next need not have heard of the position: it may be another program.
#[tokio::test]
async fn what_a_command_did_is_seen_by_whoever_reads_after_its_answer() {
    let node = Node::start_late(decide, Duration::from_millis(300)).await;
    add(&node, 1).await;
    let shown =
        r#"{ job(id: "1") { state } jobs { nodes { id } } events(job: "1") { nodes { seq } } }"#;
    let nodes = json!({ "nodes": [{ "id": "1" }] });
    let events = json!({ "nodes": [{ "seq": "1" }, { "seq": "2" }] });
    let expected = json!({ "job": { "state": "QUEUED" }, "jobs": nodes, "events": events });
    assert_eq!(node.ask(shown).await["data"], expected);
    node.ask(r#"mutation { cancelJob(id: "1") { __typename } }"#).await;
    let answer = node.ask(r#"{ job(id: "1") { state } }"#).await;
    assert_eq!(answer["data"]["job"]["state"], "CANCELLED", "{answer}");
}

/// The command is durable, so to say anything else than that it was followed would be wrong.
#[tokio::test]
async fn a_view_that_is_too_late_takes_no_receipt_away() {
    let node = Node::start_late(decide, Duration::from_secs(3)).await;
    assert_eq!(add(&node, 1).await, "2");
}

#[tokio::test]
async fn a_position_that_is_not_reached_is_said_to_be() {
    let node = Node::start(decide).await;
    let answer = node.ask(r#"{ job(id: "1", minSeq: "1000") { id } }"#).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_READY", "{answer}");
}

#[tokio::test]
async fn jobs_come_in_pages() {
    let node = Node::start(decide).await;
    let mut seq = String::new();
    for number in 1..=3 {
        seq = add(&node, number).await;
    }
    node.ask(&format!(r#"{{ job(id: "3", minSeq: "{seq}") {{ id }} }}"#)).await;
    let page = |arguments: &str| {
        format!(
            "{{ jobs({arguments}) {{ asOf edges {{ cursor node {{ id }} }} \
             pageInfo {{ hasNextPage endCursor }} }} }}"
        )
    };
    let ids = |answer: &Value| {
        let edges = answer["data"]["jobs"]["edges"].as_array().unwrap().clone();
        edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = node.ask(&page("first: 2")).await;
    assert_eq!(ids(&first), ["1", "2"]);
    assert_eq!(first["data"]["jobs"]["asOf"], json!(seq));
    let info = json!({ "hasNextPage": true, "endCursor": "2" });
    assert_eq!(first["data"]["jobs"]["pageInfo"], info);
    let second = node.ask(&page(r#"first: 2, after: "2""#)).await;
    assert_eq!(ids(&second), ["3"]);
    for wrong in ["first: 0", "first: 101", "first: -1"] {
        let answer = node.ask(&page(wrong)).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
    }
}

#[tokio::test]
async fn events_of_a_job_are_the_ones_about_it_and_their_causes() {
    let node = Node::start(decide).await;
    add(&node, 1).await;
    add(&node, 2).await;
    let seq = node.happens(
        Input::Observation(Observation::DeadlineReached),
        &[Decision::JobResumed { job: JobId(1), by: ResumedBy::Person }],
    );
    assert_eq!(seq, Seq(6));
    let page = |after: &str, first: usize| {
        format!(
            r#"{{ job(id: "1", minSeq: "6") {{ id }} events(job: "1", after: "{after}",
                first: {first}) {{ nodes {{ seq cause kind name job text }}
                pageInfo {{ hasNextPage endCursor }} }} }}"#
        )
    };
    // The other view has no `minSeq`; it is asked until it is there too.
    let mut answer = node.ask(&page("0", 100)).await;
    while answer["data"]["events"]["nodes"].as_array().unwrap().len() < 4 {
        answer = node.ask(&page("0", 100)).await;
    }
    let seen: Vec<_> = answer["data"]["events"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| format!("{} {} {}", event["seq"], event["kind"], event["name"]))
        .collect();
    assert_eq!(
        seen,
        [
            r#""1" "COMMAND" "AddJob""#,
            r#""2" "DECISION" "JobAdded""#,
            r#""5" "OBSERVATION" "DeadlineReached""#,
            r#""6" "DECISION" "JobResumed""#,
        ]
    );
    let part = node.ask(&page("1", 2)).await;
    let info = json!({ "hasNextPage": true, "endCursor": "5" });
    assert_eq!(part["data"]["events"]["pageInfo"], info);
}

#[tokio::test]
async fn the_node_tells_of_itself() {
    let node = Node::start(decide).await;
    let query = "{ node { session reason engine build position asOf } }";
    assert_eq!(node.ask(query).await, json!({ "data": { "node": null } }));
    let started = Observation::NodeStarted {
        policy: Policy::default(),
        engine: 3,
        build: "test build".into(),
    };
    node.happens(Input::Observation(started), &[]);
    node.happens(Input::Observation(Observation::SessionOpened), &[]);
    let expected = json!({
        "session": "OPEN",
        "reason": null,
        "engine": 3,
        "build": "test build",
        "position": "2",
        "asOf": "2",
    });
    let mut answer = node.ask(query).await;
    while answer["data"]["node"]["asOf"] != "2" {
        answer = node.ask(query).await;
    }
    assert_eq!(answer["data"]["node"], expected);
}

#[tokio::test]
async fn a_history_can_be_taken_away() {
    let node = Node::start(decide).await;
    node.happens(Input::Observation(Observation::SessionOpened), &[]);
    add(&node, 1).await;
    let seq = add(&node, 2).await;
    node.ask(&format!(r#"{{ job(id: "2", minSeq: "{seq}") {{ id }} }}"#)).await;
    let get = |path: &str| format!("GET {path} HTTP/1.0\nHost: {}", node.address);
    let answer = node.send(&get("/api/v0/jobs/2/history"), "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("attachment; filename=\"job-2.replay\""), "{}", answer.head);
    let history = HistoryReader::new(answer.raw_body.as_slice()).unwrap();
    let expected = Header {
        build: "test build".into(),
        engine: 7,
        job: Some(JobId(2)),
        identities: Identities::Replaced,
        ..Header::default()
    };
    assert_eq!(history.header(), &expected);
    let seqs: Vec<_> = history.map(|envelope| envelope.unwrap().seq.0).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    for path in ["/api/v0/jobs/9/history", "/api/v0/jobs/x/history"] {
        assert_eq!(node.send(&get(path), "").await.status, 404, "{path}");
    }
    let named = node.send(&get("/api/v0/jobs/2/history?identities=included"), "").await;
    let named = HistoryReader::new(named.raw_body.as_slice()).unwrap();
    assert_eq!(named.header().identities, Identities::Kept);
    let other = node.send(&get("/api/v0/jobs/2/history?identities=some"), "").await;
    assert_eq!(other.status, 400);
}
