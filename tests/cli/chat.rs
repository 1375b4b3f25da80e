//! `reprise chat` against a running node, with another client at the other end; and what becomes of a
//! message when the process dies between recording and acknowledging it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use domain::{Input, Observation, PeerId, Seq, Timestamp};
use eventlog::{Log, Step};
use loopback::world::World;
use soulseek::{Client, ClientConfig, Event, EventReceiver, Shares};
use tokio::time::timeout;

use super::{code, errors, run, said, text};
use crate::album::support::{PATIENCE, config, discs};
use crate::binary::serve;

async fn log_in(world: &World, user: &str, last: u8) -> (Client, EventReceiver) {
    let config = ClientConfig::new(
        &world.soulseek().to_string(),
        user,
        "secret",
        SocketAddr::from(([127, 0, 4, last], 0)),
    );
    Client::login(config, Shares::default()).await.unwrap()
}

/// The next message: its number, its time, who said it and what.
async fn heard(events: &mut EventReceiver) -> (u32, u32, String, String) {
    loop {
        let event = timeout(PATIENCE, events.next()).await.expect("a message in time");
        if let Some(Event::PrivateMessage { id, sent_at_s, user, text }) = event {
            return (id, sent_at_s, user, text);
        }
    }
}

fn chat(api: SocketAddr, arguments: &[&str]) -> (i32, String) {
    let output = run(&[&["chat", "--api", &api.to_string()], arguments].concat());
    (code(&output), said(&output) + &errors(&output))
}

/// Asks until it says some words.
fn says(api: SocketAddr, arguments: &[&str], words: &str) -> String {
    let began = Instant::now();
    loop {
        let (_, said) = chat(api, arguments);
        if said.contains(words) {
            return said;
        }
        assert!(began.elapsed() < PATIENCE, "{said}");
    }
}

fn verify(data: &Path) {
    let output = run(&["replay", "verify", text(data)]);
    assert_eq!(code(&output), 0, "{}{}", said(&output), errors(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_talks_to_another_client_and_hears_what_was_said_while_it_was_dead() {
    let world = World::empty(discs()).await.unwrap();
    let (ada, mut ada_hears) = log_in(&world, "ada", 1).await;
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &world, "127.0.3.21:0");
    let (node, api) = serve(&config);
    // Until it is logged in it says so and takes nothing.
    let began = Instant::now();
    while chat(api, &["ada", "hello", "there"]).0 != 0 {
        assert!(began.elapsed() < PATIENCE);
    }
    let (_, _, from, text) = heard(&mut ada_hears).await;
    assert_eq!((from.as_str(), text.as_str()), ("served", "hello there"));
    ada.send_message("served", "\u{1b}[2Jhi\u{202e}").unwrap();
    let listed = says(api, &[], "1 unread");
    assert!(listed.starts_with("ada ") && !listed.contains(['\u{1b}', '\u{202e}']), "{listed}");
    let (exit, shown) = chat(api, &["ada"]);
    let lines: Vec<_> = shown.lines().collect();
    assert!(exit == 0 && lines.len() == 2, "{shown}");
    assert!(lines[0].ends_with("  > hello there") && lines[1].contains("  ada: "), "{shown}");
    assert!(chat(api, &[]).1.contains("0 unread of 2"));
    let (exit, said) = chat(api, &["ada", &"x".repeat(2_049)]);
    assert!(exit == 7 && said.contains("longer than the 2048"), "{exit} {said}");
    assert_eq!(node.end_with("KILL"), None);

    ada.send_message("served", "are you there?").unwrap();
    let (node, api) = serve(&config);
    says(api, &["ada"], "are you there?");
    assert_eq!(chat(api, &["ada"]).1.lines().count(), 3);
    assert_eq!(node.end_with("TERM"), Some(0));
    verify(&dir.path().join("data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_recorded_and_not_acknowledged_comes_again_and_is_one() {
    let world = World::empty(discs()).await.unwrap();
    let (ada, _) = log_in(&world, "ada", 2).await;
    let (served, mut served_hears) = log_in(&world, "served", 3).await;
    ada.send_message("served", "only once").unwrap();
    let (id, sent_at_s, user, text) = heard(&mut served_hears).await;
    served.close().await;

    // The log as a process leaves it that died after the append and before the effect.
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("data/log");
    let (mut log, reader) = Log::open(&log_dir).unwrap();
    let sent_at = Timestamp(u64::from(sent_at_s) * 1_000_000);
    let seen = Observation::ChatReceived { peer: PeerId::Soulseek(user), id, sent_at, text };
    let history = reader.range(Seq(1)..=reader.durable());
    let next = ::replay::next(history, Input::Observation(seen)).unwrap();
    log.append(&[Step { digest: Some(next.digest), ..Step::new(next.at, &next.events) }]).unwrap();
    drop((log, reader));

    let config = config(dir.path(), &world, "127.0.3.22:0");
    let (node, api) = serve(&config);
    says(api, &[], "1 unread of 1");
    // Said after it, so the first one was acknowledged and taken in before.
    ada.send_message("served", "and another").unwrap();
    let listed = says(api, &[], "and another");
    assert!(listed.contains("2 unread of 2"), "{listed}");
    assert_eq!(node.end_with("TERM"), Some(0));
    let (log, reader) = Log::open(&log_dir).unwrap();
    let received = reader.range(Seq(1)..=reader.durable()).filter(|envelope| {
        let event = &envelope.as_ref().unwrap().event;
        domain::render::name(event) == "ChatReceived"
    });
    assert_eq!(received.count(), 3, "the server said the first one twice");
    drop((log, reader));
    verify(&dir.path().join("data"));

    // It is acknowledged now: whoever logs in next does not hear it.
    let (_served, mut served_hears) = log_in(&world, "served", 4).await;
    ada.send_message("served", "the end").unwrap();
    loop {
        match heard(&mut served_hears).await.3.as_str() {
            "the end" => break,
            words => assert_ne!(words, "only once"),
        }
    }
}
