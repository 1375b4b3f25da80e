//! GraphQL over HTTP: what is answered, under which status, and what the limits are.

use domain::decision::{CommandRefusal, ResumedBy};
use domain::{Command, Decision, JobId};
use serde_json::{Value, json};

use crate::node::Node;

const ID: &str = "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11";

/// Job 1 is the only one there is or will be, and it is over.
fn decide(command: &Command) -> Vec<Decision> {
    let refused = |reason| vec![Decision::CommandRefused { reason }];
    match command {
        Command::AddJob { release } if release.to_string() == ID => {
            vec![Decision::JobAdded { job: JobId(1), release: *release }]
        }
        Command::AddJob { .. } => refused(CommandRefusal::Duplicate(JobId(1))),
        Command::CancelJob { job: JobId(1) } => refused(CommandRefusal::JobOver(JobId(1))),
        Command::RetryJob { job: JobId(1) } => {
            vec![Decision::JobResumed { job: JobId(1), by: ResumedBy::Person }]
        }
        Command::CancelJob { job } | Command::RetryJob { job } => {
            refused(CommandRefusal::UnknownJob(*job))
        }
        Command::SkipDeadLetter { .. }
        | Command::SendChat { .. }
        | Command::MarkChatRead { .. } => Vec::new(),
    }
}

async fn node() -> Node {
    Node::start(decide).await
}

const ADD: &str = "mutation($r: String!) { addJob(reference: $r) { __typename \
    ... on JobReceipt { seq job } ... on UserError { code message hint } \
    ... on Duplicate { job } } }";

async fn add(node: &Node, reference: &str) -> Value {
    let body = json!({ "query": ADD, "variables": { "r": reference } }).to_string();
    let head =
        format!("POST /graphql HTTP/1.1\nHost: {}\nContent-Type: application/json", node.address);
    let answer: Value = serde_json::from_str(&node.send(&head, &body).await.body).unwrap();
    answer["data"]["addJob"].clone()
}

#[tokio::test]
async fn a_command_that_is_followed_gets_a_receipt() {
    let node = node().await;
    let receipt = json!({ "__typename": "JobReceipt", "seq": "2", "job": "1" });
    assert_eq!(add(&node, &format!("https://musicbrainz.org/release/{ID}")).await, receipt);
    let answer =
        node.ask(r#"mutation { retryJob(id: "1") { ... on JobReceipt { seq job } } }"#).await;
    assert_eq!(answer, json!({ "data": { "retryJob": { "seq": "4", "job": "1" } } }));
}

#[tokio::test]
async fn a_refusal_is_an_answer_with_its_reason_and_a_way_on() {
    let node = node().await;
    let other = ID.replace('0', "1");
    assert_eq!(
        add(&node, &other).await,
        json!({
            "__typename": "Duplicate",
            "code": "DUPLICATE",
            "message": "job 1 already has this release",
            "hint": "look at job 1; cancel it first to begin anew",
            "job": "1",
        })
    );
    let invalid = add(&node, "https://www.discogs.com/release/1").await;
    assert_eq!(invalid["__typename"], "InvalidReference");
    assert_eq!(invalid["code"], "INVALID_REFERENCE");
    let answer = node
        .ask(
            r#"mutation { one: cancelJob(id: "1") { ... on UserError { code message } }
                          two: retryJob(id: "2") { ... on UserError { code message } } }"#,
        )
        .await;
    let expected = json!({
        "one": { "code": "JOB_OVER", "message": "job 1 is over" },
        "two": { "code": "UNKNOWN_JOB", "message": "there is no job 2" },
    });
    assert_eq!(answer["data"], expected);
}

#[tokio::test]
async fn an_id_is_a_jobs_number_and_nothing_else() {
    let node = node().await;
    for id in ["", "one", "01", "+1", "-1", "4294967296"] {
        let answer =
            node.ask(&format!(r#"mutation {{ retryJob(id: "{id}") {{ __typename }} }}"#)).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{id}: {answer}");
    }
}

#[tokio::test]
async fn a_pasted_text_is_read_without_asking_anybody() {
    let node = node().await;
    let query = format!(
        r#"{{ resolveTarget(text: "musicbrainz.org/release/{ID}") {{
            ... on ReleaseReference {{ mbid url }} ... on UserError {{ message }} }} }}"#
    );
    let url = format!("https://musicbrainz.org/release/{ID}");
    let expected = json!({ "data": { "resolveTarget": { "mbid": ID, "url": url } } });
    assert_eq!(node.ask(&query).await, expected);
}

#[tokio::test]
async fn statuses_follow_the_form_of_the_answer() {
    let node = node().await;
    let typename = r#"{"query":"{ __typename }"}"#;
    let unparsed = r#"{"query":"{"}"#;
    let unknown = r#"{"query":"{ nothing }"}"#;
    let usual = "application/json; charset=utf-8";
    let graphql = "application/graphql-response+json; charset=utf-8";
    for (accept, body, status, kind) in [
        ("", typename, 200, usual),
        ("", unparsed, 400, usual),
        ("", unknown, 400, usual),
        ("Accept: */*", typename, 200, usual),
        ("Accept: application/json", unparsed, 200, usual),
        ("Accept: application/json", unknown, 200, usual),
        ("Accept: application/graphql-response+json", typename, 200, graphql),
        ("Accept: application/graphql-response+json", unparsed, 400, graphql),
        ("Accept: text/html, application/graphql-response+json;q=0.9", unknown, 400, graphql),
        ("Accept: text/html", typename, 406, "application/problem+json"),
    ] {
        let head = format!(
            "POST /graphql HTTP/1.1\nHost: {}\nContent-Type: application/json; charset=UTF-8\n{}",
            node.address,
            if accept.is_empty() { "X-Nothing: 1" } else { accept }
        );
        let answer = node.send(&head, body).await;
        assert_eq!(answer.status, status, "{accept} {body}: {}", answer.body);
        assert!(answer.head.contains(&format!("content-type: {kind}\r\n")), "{}", answer.head);
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(json.get("data").is_some(), body == typename && status == 200, "{json}");
    }
}

#[tokio::test]
async fn what_is_not_one_request_is_refused() {
    let node = node().await;
    let head =
        format!("POST /graphql HTTP/1.1\nHost: {}\nContent-Type: application/json", node.address);
    for body in [
        "",
        "{",
        "[]",
        r#"[{"query":"{ __typename }"}]"#,
        "{}",
        r#"{"query":7}"#,
        r#"{"query":"{ __typename }","variables":[]}"#,
        r#"{"query":"{ __typename }","extensions":"x"}"#,
    ] {
        let answer = node.send(&head, body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.head.contains("application/problem+json"), "{body}");
    }
    let body =
        r#"{"query":"{ __typename }","operationName":null,"variables":null,"extensions":null}"#;
    assert_eq!(node.send(&head, body).await.status, 200);
}

#[tokio::test]
async fn requests_have_limits() {
    let node = node().await;
    let long = format!(r#"{{"query":"{{ __typename }} #{}"}}"#, "x".repeat(1024 * 1024));
    let head =
        format!("POST /graphql HTTP/1.1\nHost: {}\nContent-Type: application/json", node.address);
    assert_eq!(node.send(&head, &long).await.status, 413);

    let deep = format!("{{ __schema {{ types {} }} }}", nested("fields { type", 8));
    assert_eq!(node.ask(&deep).await["errors"][0]["message"], "Query is nested too deep.");

    let field = "resolveTarget(text: \"\") { __typename } ";
    let aliases: String = (0..2001).map(|n| format!("a{n}: {field}")).collect();
    assert_eq!(
        node.ask(&format!("{{ {aliases} }}")).await["errors"][0]["message"],
        "Query is too complex."
    );
}

fn nested(fields: &str, times: usize) -> String {
    let open = format!("{{ {fields} ").repeat(times);
    let close = "} ".repeat(times * (1 + fields.matches('{').count()));
    format!("{open} {{ name }} {close}")
}

#[tokio::test]
async fn answers_are_not_kept_and_not_framed() {
    let node = node().await;
    let answer = node.send(&format!("GET /healthz HTTP/1.1\nHost: {}", node.address), "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    for header in [
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
    ] {
        assert!(answer.head.contains(header), "{}", answer.head);
    }
    let answer = node.send(&format!("GET /nothing HTTP/1.1\nHost: {}", node.address), "").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("/graphql"));
}

#[tokio::test]
async fn what_waits_to_be_searched_for_is_told_with_the_time() {
    let node = Node::start(|_| Vec::new()).await;
    let answer = node
        .ask(
            "{ networkSearches { at loggedIn sent most windowSeconds runningMost waitingCount \
             running { job track query notBefore } waiting { job track query notBefore } } }",
        )
        .await;
    assert_eq!(
        answer["data"]["networkSearches"],
        serde_json::json!({
            "at": "9000000", "loggedIn": true, "sent": 33, "most": 34, "windowSeconds": 220,
            "runningMost": 2, "waitingCount": 5,
            "running": [{ "job": "3", "track": null, "query": "ada engine", "notBefore": null }],
            "waiting": [{ "job": "3", "track": 2, "query": "ada loops", "notBefore": "10000000" }],
        }),
        "{answer:#}"
    );
}
