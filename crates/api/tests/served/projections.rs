//! The views themselves: how each is doing, folding one anew, and what it went on without.

use std::time::Duration;

use serde_json::{Value, json};

use crate::node::Node;
use crate::views::{add, decide};

const FIELDS: &str = "name position lag secondsLeft state rebuiltTo reason version deadLetters";

#[tokio::test]
async fn every_view_says_how_it_is_doing() {
    let node = Node::start(decide).await;
    add(&node, 1).await;
    // Rows are there a moment before they are counted.
    let counted = async {
        loop {
            let answer = node.ask("{ projections { ratePerS } }").await;
            let views = answer["data"]["projections"].as_array().unwrap();
            if views.iter().all(|view| view["ratePerS"].as_f64().unwrap() > 0.0) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), counted).await.expect("every view has a rate");
    let expected = |name: &str, version: u32| {
        json!({
            "name": name, "position": "2", "lag": "0", "secondsLeft": 0.0, "state": "FOLLOWING",
            "rebuiltTo": null, "reason": null, "version": version, "deadLetters": 0,
        })
    };
    let answer = node.ask(&format!("{{ projections {{ {FIELDS} }} }}")).await;
    let views = json!({ "projections": [
        expected("jobs", 2), expected("trace", 1), expected("chat", 1), expected("search", 1),
    ] });
    assert_eq!(answer, json!({ "data": views }));
}

#[tokio::test]
async fn a_view_that_is_folded_anew_answers_from_its_old_rows() {
    // Each batch takes a while, and a rebuild has one for the new rows.
    let node = Node::start_late(decide, Duration::from_millis(500)).await;
    add(&node, 1).await;
    let asked = r#"mutation { rebuildProjection(name: "jobs") { state position rebuiltTo } }"#;
    let rebuilding = json!({ "state": "REBUILDING", "position": "2", "rebuiltTo": "0" });
    let answer = node.ask(asked).await;
    assert_eq!(answer["data"]["rebuildProjection"], rebuilding, "{answer}");
    let shown = r#"{ job(id: "1") { asOf state } projections { state } }"#;
    let answer = node.ask(shown).await["data"].clone();
    assert_eq!(answer["job"], json!({ "asOf": "2", "state": "QUEUED" }));
    assert_eq!(answer["projections"][0]["state"], "REBUILDING");
    assert_eq!(answer["projections"][1]["state"], "FOLLOWING");
    while node.ask(shown).await["data"]["projections"][0]["state"] != "FOLLOWING" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.ask(shown).await["data"]["job"], answer["job"]);
}

#[tokio::test]
async fn what_is_no_view_and_no_dead_letter_is_refused() {
    let node = Node::start(decide).await;
    add(&node, 1).await;
    let message = |answer: &Value| answer["errors"][0]["message"].clone();
    for asked in [
        r#"mutation { rebuildProjection(name: "job") { name } }"#,
        r#"mutation { skipDeadLetter(projection: "job", seq: "1") { name } }"#,
        r#"{ deadLetters(projection: "job") { seq } }"#,
    ] {
        let answer = node.ask(asked).await;
        assert_eq!(
            message(&answer),
            "there is no view of this name, only jobs, trace, chat, search"
        );
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }
    let asked = r#"mutation { skipDeadLetter(projection: "jobs", seq: "1") { name } }"#;
    assert_eq!(message(&node.ask(asked).await), "event 1 is no dead letter of jobs");
}

#[tokio::test]
async fn what_a_view_went_on_without_is_listed_and_acknowledged() {
    let node = Node::start_without(decide, 2).await;
    add(&node, 1).await;
    add(&node, 2).await;
    let shown = r#"{ jobs { nodes { id } } projections { deadLetters }
        deadLetters(projection: "jobs") { seq at reason acknowledged } }"#;
    let answer = node.ask(shown).await["data"].clone();
    // Job 1 was added by event 2.
    assert_eq!(answer["jobs"]["nodes"], json!([{ "id": "2" }]));
    assert_eq!(answer["projections"][0], json!({ "deadLetters": 1 }));
    let reason = "an event of type 999, version 1, which this program does not know";
    let letter = json!({ "seq": "2", "at": "1000000", "reason": reason, "acknowledged": false });
    assert_eq!(answer["deadLetters"], json!([letter]));

    let skip = r#"mutation { skipDeadLetter(projection: "jobs", seq: "2") { deadLetters } }"#;
    let answer = node.ask(skip).await;
    assert_eq!(answer["data"]["skipDeadLetter"], json!({ "deadLetters": 0 }), "{answer}");
    let answer = node.ask(shown).await;
    assert_eq!(answer["data"]["deadLetters"][0]["acknowledged"], json!(true), "{answer}");
}
