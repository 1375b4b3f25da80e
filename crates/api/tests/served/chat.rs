//! Conversations over GraphQL. What the engine would decide is decided by the test.

use domain::decision::CommandRefusal;
use domain::id::ChatId;
use domain::{Command, Decision, Input, Observation, PeerId, Timestamp};
use serde_json::json;

use crate::node::Node;

fn decide(command: &Command) -> Vec<Decision> {
    match command {
        Command::SendChat { text, .. } if text == "too early" => {
            vec![Decision::CommandRefused { reason: CommandRefusal::NotLoggedIn }]
        }
        Command::SendChat { peer, text } => {
            vec![Decision::ChatPlanned { chat: ChatId(1), peer: peer.clone(), text: text.clone() }]
        }
        _ => Vec::new(),
    }
}

fn hears(node: &Node, user: &str, id: u32, text: &str) {
    let (peer, sent_at) = (PeerId::Soulseek(user.into()), Timestamp(5_000_000));
    let seen = Observation::ChatReceived { peer, id, sent_at, text: text.into() };
    node.happens(Input::Observation(seen), &[Decision::ChatTaken { id }]);
}

#[tokio::test]
async fn conversations_are_listed_read_and_gone_on_with() {
    let node = Node::start(decide).await;
    hears(&node, "ada", 1, "one");
    hears(&node, "bo", 2, "\u{202e}hi\u{7}");
    let sent = node
        .ask(r#"mutation { sendChat(user: "ada", text: "two") { ... on ChatReceipt { seq } } }"#)
        .await;
    assert_eq!(sent["data"]["sendChat"]["seq"], "6", "{sent}");
    let listed = "{ chats(first: 1) { asOf pageInfo { hasNextPage endCursor } \
                  nodes { user messages unread newest { text state } } } }";
    let answer = node.ask(listed).await;
    let newest = json!({ "text": "two", "state": "SENDING" });
    let expected = json!({ "data": { "chats": {
        "asOf": "6", "pageInfo": { "hasNextPage": true, "endCursor": "6" },
        "nodes": [{ "user": "ada", "messages": 2, "unread": 1, "newest": newest }],
    } } });
    assert_eq!(answer, expected);
    let rest = node.ask(r#"{ chats(after: "6") { nodes { user unread } } }"#).await;
    assert_eq!(rest["data"]["chats"]["nodes"], json!([{ "user": "bo", "unread": 1 }]));

    node.happens(Input::Observation(Observation::ChatSent { chat: ChatId(1) }), &[]);
    let marked = r#"mutation { markChatRead(user: "ada", through: "1") { seq } }"#;
    assert_eq!(node.ask(marked).await["data"]["markChatRead"]["seq"], "8");
    let read = r#"{ chat(user: "ada") { nodes { seq sentAt text state reason } } chats { nodes { user unread } } }"#;
    let answer = node.ask(read).await;
    let messages = json!([
        { "seq": "6", "sentAt": "1000000", "text": "two", "state": "SENT", "reason": null },
        { "seq": "1", "sentAt": "5000000", "text": "one", "state": "RECEIVED", "reason": null },
    ]);
    assert_eq!(answer["data"]["chat"]["nodes"], messages);
    assert_eq!(answer["data"]["chats"]["nodes"][0], json!({ "user": "ada", "unread": 0 }));
    let before =
        node.ask(r#"{ chat(user: "ada", before: "6", first: 1) { nodes { text } } }"#).await;
    assert_eq!(before["data"]["chat"]["nodes"], json!([{ "text": "one" }]));
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_with_the_reason() {
    let node = Node::start(decide).await;
    let long = "x".repeat(2_049);
    for (user, text, code) in [
        ("ada", "", "UNSUITABLE_MESSAGE"),
        ("ada", long.as_str(), "UNSUITABLE_MESSAGE"),
        ("ada", "one\\ntwo", "UNSUITABLE_MESSAGE"),
        (" ada", "hello", "UNSUITABLE_MESSAGE"),
        ("ada", "too early", "NOT_LOGGED_IN"),
    ] {
        let asked = format!(
            r#"mutation {{ sendChat(user: "{user}", text: "{text}") {{ ... on UserError {{ code message hint }} }} }}"#
        );
        let answer = node.ask(&asked).await;
        assert_eq!(answer["data"]["sendChat"]["code"], code, "{answer}");
    }
}
