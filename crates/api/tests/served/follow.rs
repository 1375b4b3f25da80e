//! What can be followed over a socket: a job's progress, and its events without a gap.

use domain::decision::ResumedBy;
use domain::observation::Observation;
use domain::{Decision, Input, JobId};
use serde_json::{Value, json};

use crate::node::Node;
use crate::socket::Client;
use crate::views::{add, decide};

fn resume(node: &Node, job: u32) {
    let decisions = [Decision::JobResumed { job: JobId(job), by: ResumedBy::Person }];
    node.happens(Input::Observation(Observation::DeadlineReached), &decisions);
}

/// The positions of the next `count` events.
async fn seqs(client: &mut Client, count: usize) -> Vec<String> {
    let mut seqs = Vec::new();
    for _ in 0..count {
        let message = client.next().await;
        let seq = message["payload"]["data"]["events"]["seq"].as_str();
        seqs.push(seq.unwrap_or_else(|| panic!("{message}")).to_owned());
    }
    seqs
}

#[tokio::test]
async fn events_are_caught_up_and_then_followed_without_a_gap() {
    let node = Node::start(decide).await;
    add(&node, 1).await;
    // More than are read at once.
    for _ in 0..120 {
        resume(&node, 1);
    }
    let mut client = Client::introduced(&node).await;
    client.subscribe("e", r#"subscription { events(job: "1", after: "1") { seq } }"#).await;
    let expected =
        |range: std::ops::RangeInclusive<u64>| range.map(|seq| seq.to_string()).collect::<Vec<_>>();
    assert_eq!(seqs(&mut client, 241).await, expected(2..=242));
    // Of another job: not told.
    resume(&node, 2);
    resume(&node, 1);
    assert_eq!(seqs(&mut client, 2).await, expected(245..=246));

    client.send(json!({ "id": "e", "type": "complete" })).await;
    assert_eq!(client.next().await["type"], "complete");
}

#[tokio::test]
async fn progress_is_told_until_the_job_is_over() {
    let node = Node::start(decide).await;
    let seq = add(&node, 1).await;
    node.ask(&format!(r#"{{ job(id: "1", minSeq: "{seq}") {{ id }} }}"#)).await;
    let mut client = Client::introduced(&node).await;
    let query = r#"subscription { jobProgress(id: "1", everyMs: 100) { asOf state } }"#;
    client.subscribe("p", query).await;
    let progress = |message: &Value| message["payload"]["data"]["jobProgress"]["state"].clone();
    assert_eq!(progress(&client.next().await), "QUEUED");
    node.ask(r#"mutation { cancelJob(id: "1") { __typename } }"#).await;
    assert_eq!(progress(&client.next().await), "CANCELLED");
    assert_eq!(client.next().await, json!({ "id": "p", "type": "complete" }));
}

#[tokio::test]
async fn what_cannot_be_followed_is_an_error_and_the_end() {
    let node = Node::start(decide).await;
    let mut client = Client::introduced(&node).await;
    for query in [
        r#"subscription { jobProgress(id: "7") { asOf } }"#,
        r#"subscription { jobProgress(id: "1", everyMs: 99) { asOf } }"#,
        r#"subscription { events(job: "one") { seq } }"#,
    ] {
        client.subscribe("x", query).await;
        let message = client.next().await;
        let code = &message["payload"]["errors"][0]["extensions"]["code"];
        assert_eq!(code, "BAD_USER_INPUT", "{message}");
        assert_eq!(client.next().await, json!({ "id": "x", "type": "complete" }));
    }
}

#[tokio::test]
async fn one_socket_has_a_limit_of_operations() {
    let node = Node::start(decide).await;
    let mut client = Client::introduced(&node).await;
    for number in 0..16 {
        let query = r#"subscription { events(job: "1") { seq } }"#;
        client.subscribe(&number.to_string(), query).await;
    }
    client.subscribe("17th", "{ __typename }").await;
    let message = client.next().await;
    assert_eq!(message["id"], "17th");
    assert!(message.to_string().contains("16 operations"), "{message}");
    assert_eq!(client.next().await, json!({ "id": "17th", "type": "complete" }));
    // One that is taken back makes room.
    client.send(json!({ "id": "3", "type": "complete" })).await;
    assert_eq!(client.next().await, json!({ "id": "3", "type": "complete" }));
    client.subscribe("again", "{ __typename }").await;
    assert_eq!(client.next().await["payload"]["data"]["__typename"], "Query");
}
