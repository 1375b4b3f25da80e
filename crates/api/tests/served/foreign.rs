//! What a page of another site may try against a node on the same machine, each as the bytes a
//! browser would send. None may reach the engine.

use domain::{Command, Decision};

use crate::node::{Answer, Node, Odd, views};

const MUTATION: &str = r#"mutation { cancelJob(id: "1") { __typename } }"#;

/// A node whose engine must never be asked.
async fn node() -> Node {
    Node::start(|command: &Command| -> Vec<Decision> { panic!("it was asked: {command:?}") }).await
}

fn json() -> String {
    serde_json::json!({ "query": MUTATION }).to_string()
}

fn assert_problem(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    assert!(answer.body.contains(words), "{}", answer.body);
    assert!(!answer.head.contains("access-control-allow"), "{}", answer.head);
}

#[tokio::test]
async fn a_mutation_in_an_address() {
    let node = node().await;
    let address = &node.address;
    let query = MUTATION.replace(' ', "%20").replace('"', "%22");
    let answer =
        node.send(&format!("GET /graphql?query={query} HTTP/1.1\nHost: {address}"), "").await;
    assert_problem(&answer, 405, "POST");
    assert!(answer.head.contains("allow: post"), "{}", answer.head);
}

#[tokio::test]
async fn a_mutation_as_plain_text() {
    let node = node().await;
    let head = format!("POST /graphql HTTP/1.1\nHost: {}\nContent-Type: text/plain", node.address);
    assert_problem(&node.send(&head, &json()).await, 415, "application/json");
}

#[tokio::test]
async fn a_mutation_as_a_form() {
    let node = node().await;
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{}\r\n--x--\r\n",
        json()
    );
    for kind in ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"] {
        let head = format!("POST /graphql HTTP/1.1\nHost: {}\nContent-Type: {kind}", node.address);
        assert_problem(&node.send(&head, &body).await, 415, "application/json");
    }
}

#[tokio::test]
async fn a_mutation_without_a_declared_type() {
    let node = node().await;
    let head = format!("POST /graphql HTTP/1.1\nHost: {}", node.address);
    assert_problem(&node.send(&head, &json()).await, 415, "application/json");
}

#[tokio::test]
async fn a_name_that_was_made_to_point_here() {
    let node = node().await;
    let port = node.address.rsplit(':').next().unwrap().to_owned();
    for path in ["/graphql", "/schema.graphql", "/healthz", "/api/v0/jobs/1/history", "/nothing"] {
        let head = format!(
            "POST {path} HTTP/1.1\nHost: evil.example:{port}\nOrigin: http://evil.example:{port}\n\
             Sec-Fetch-Site: same-origin\nContent-Type: application/json"
        );
        assert_problem(&node.send(&head, &json()).await, 421, "api.hosts");
    }
}

#[tokio::test]
async fn json_from_another_site() {
    let node = node().await;
    let address = &node.address;
    for tell in [
        "Origin: https://evil.example",
        "Origin: null",
        "Origin: http://localhost:3000",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let head = format!(
            "POST /graphql HTTP/1.1\nHost: {address}\n{tell}\nContent-Type: application/json"
        );
        assert_problem(&node.send(&head, &json()).await, 403, "api.hosts");
    }
    // The question that browsers ask first gets no permission either.
    let head = format!(
        "OPTIONS /graphql HTTP/1.1\nHost: {address}\nOrigin: https://evil.example\n\
         Access-Control-Request-Method: POST\nAccess-Control-Request-Headers: content-type"
    );
    assert_problem(&node.send(&head, "").await, 403, "api.hosts");
}

#[tokio::test]
async fn a_socket_opened_from_another_site() {
    let node = node().await;
    let upgrade = |host: &str, tell: &str| {
        format!(
            "GET /graphql/ws HTTP/1.1\nHost: {host}\n{tell}\nUpgrade: websocket\n\
             Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\
             Sec-WebSocket-Protocol: graphql-transport-ws"
        )
    };
    let foreign = upgrade(&node.address, "Origin: https://evil.example");
    assert_problem(&node.send(&foreign, "").await, 403, "api.hosts");
    let rebound = upgrade("evil.example", "Origin: http://evil.example");
    assert_problem(&node.send(&rebound, "").await, 421, "api.hosts");
}

#[tokio::test]
async fn what_is_ours_passes() {
    let node = Node::start(|_| Vec::new()).await;
    let address = node.address.clone();
    for tell in [
        format!("Host: {address}"),
        format!("Host: {address}\nOrigin: http://{address}\nSec-Fetch-Site: same-origin"),
        "Host: music.example\nOrigin: https://music.example\nSec-Fetch-Site: same-origin".into(),
        format!("Host: {}", address.replace("127.0.0.1", "localhost")),
    ] {
        let head = format!("POST /graphql HTTP/1.1\n{tell}\nContent-Type: application/json");
        let answer = node.send(&head, &json()).await;
        assert_eq!(answer.status, 200, "{tell}: {}", answer.body);
        assert!(answer.body.contains("JobReceipt"), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, log) = eventlog::Log::open(&dir.path().join("log")).unwrap();
    let (commands, _asked) = tokio::sync::mpsc::channel(1);
    let inbox = api::Inbox::new(commands);
    let (state, _followers) = views(dir.path(), log, inbox, Odd::default());
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = api::serve(listener, state, std::future::pending()).await.unwrap_err();
    for words in ["no authentication yet", "set api.listen to 127.0.0.1"] {
        assert!(refused.to_string().contains(words), "{refused}");
    }
}
