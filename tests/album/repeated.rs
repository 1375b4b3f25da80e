//! Commands that are given again under the name they had, as a client does whose answer was lost.

use std::net::SocketAddr;

use domain::{Command, Event, Input};
use loopback::album;
use loopback::world::World;
use node::Node;
use serde_json::{Value, json};

use super::support::{answer, brisk, discs, recorded, settings};

const ADD: &str = "mutation($reference: String!, $id: CommandId) { addJob(reference: $reference, \
     commandId: $id) { __typename ... on JobReceipt { job seq } ... on UserError { code } } }";
const CANCEL: &str = "mutation($id: CommandId) { cancelJob(id: 1, commandId: $id) { __typename \
     ... on JobReceipt { job seq } ... on UserError { code } } }";
const FIRST: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const SECOND: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

async fn add(api: SocketAddr, id: Option<&str>) -> Value {
    answer(api, ADD, json!({ "reference": album::RELEASE.to_string(), "id": id })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_given_twice_is_done_once() {
    let world = World::empty(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let api = node.api();
    let (one, other) = tokio::join!(add(api, Some(FIRST)), add(api, Some(FIRST)));
    assert_eq!(one["data"]["addJob"]["__typename"], "JobReceipt", "{one:#}");
    assert_eq!(one, other);
    // Under another name, or none, it is another command.
    for id in [Some(SECOND), None] {
        let again = add(api, id).await;
        assert_eq!(again["data"]["addJob"]["__typename"], "Duplicate", "{again:#}");
    }
    let (one_cancelled, other_cancelled) = tokio::join!(
        answer(api, CANCEL, json!({ "id": SECOND })),
        answer(api, CANCEL, json!({ "id": "01890a5d-ac96-774b-bcce-b302099a8059" }))
    );
    let code = &one_cancelled["errors"][0]["extensions"]["code"];
    assert_eq!(code, "BAD_USER_INPUT", "{one_cancelled:#}");
    assert_eq!(other_cancelled["data"]["cancelJob"]["job"], "1", "{other_cancelled:#}");
    node.stop().await.unwrap();

    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    assert_eq!(add(node.api(), Some(FIRST)).await, one, "the log remembers it");
    let wrong = add(node.api(), Some("first")).await;
    assert!(wrong["errors"][0]["message"].as_str().unwrap().contains("is a UUID"), "{wrong:#}");
    node.stop().await.unwrap();

    let added = recorded(dir.path()).into_iter().filter(|envelope| {
        matches!(envelope.event, Event::Input(Input::Command(Command::AddJob { .. })))
    });
    assert_eq!(added.count(), 3, "one under each name, and one without");
}
