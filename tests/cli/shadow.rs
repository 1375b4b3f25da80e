//! The shadow of a running node: it reaches the end of the log, and tells what it does not find again.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use domain::{Input, Observation, Policy, Timestamp};
use eventlog::{Log, Step};
use loopback::album;
use loopback::world::World;
use serde_json::json;

use super::{assert_job, code, errors, run, said};
use crate::album::support::{PATIENCE, ask, config, discs, honest};
use crate::binary::{Process, reprise, serve};

/// What `node status` says, with its exit code.
fn status(api: SocketAddr) -> (i32, String) {
    let output = run(&["node", "--api", &api.to_string(), "status"]);
    (code(&output), said(&output) + &errors(&output))
}

/// Asks until it says some words.
fn says(api: SocketAddr, words: &str) -> (i32, String) {
    let began = Instant::now();
    loop {
        let (code, said) = status(api);
        if said.contains(words) {
            return (code, said);
        }
        assert!(began.elapsed() < PATIENCE, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shadow_of_a_real_node_reaches_the_end() {
    let mut world = World::empty(discs()).await.unwrap();
    let (manner, offers) = honest("ada", 50_000_000);
    world.join(manner, offers).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &world, "127.0.3.7:0");
    let (node, api) = serve(&config);
    let link = format!("https://musicbrainz.org/release/{}", album::RELEASE);
    assert_job(api, &["add", &link], 0, "job 1 was added");
    assert_job(api, &["watch", "1"], 0, "9 of 9 tracks");
    let (exit, said) = says(api, "shadow    ok");
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains(" 0 behind") && !said.contains("not to be compared"), "{said}");
    assert_eq!(node.end_with("TERM"), Some(0));

    // The run before is verified anew by the next one.
    let (node, api) = serve(&config);
    says(api, "shadow    ok");
    let data =
        ask(api, "{ node { position shadow { state position lag divergences } } }", json!({}));
    let data = data.await;
    assert_eq!(data["node"]["shadow"]["divergences"], "0", "{data}");
    assert_eq!(node.end_with("TERM"), Some(0));
}

/// Writes a log whose second step has another digest than the engine comes to; the two digests.
fn tampered(log: &Path) -> (u64, u64) {
    let (mut log, _) = Log::open(log).unwrap();
    let mut engine = engine::Engine::new();
    let started = Observation::NodeStarted {
        policy: Policy::default(),
        engine: engine::VERSION,
        build: "by hand".into(),
    };
    let at = Timestamp(1_700_000_000_000_000);
    let mut digests = (0, 0);
    for (seen, wrong) in [(started, 0), (Observation::SessionOpened, 1)] {
        let step = engine.step(Input::Observation(seen), at);
        digests = (step.digest ^ wrong, step.digest);
        let digest = Some(digests.0);
        log.append(&[Step { digest, ..Step::new(at, &step.events) }]).unwrap();
    }
    digests
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_out_again_is_told_loudly() {
    let world = World::empty(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (recorded, replayed) = tampered(&dir.path().join("data/log"));
    let config = config(dir.path(), &world, "127.0.3.8:0");
    let mut serve = reprise();
    serve.args(["serve", "--config"]).arg(&config).stderr(Stdio::piped());
    let mut child = serve.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let node = Process::from(child);
    let (mut api, mut is_loud) = (None, false);
    while api.is_none() || !is_loud {
        let line = lines.next().expect("it tells both before it ends");
        is_loud |= line.contains("THE SHADOW REPLAY DIVERGES") && line.contains("ERROR");
        let address = line.split("listens at http://").nth(1);
        api = api.or_else(|| address.and_then(|rest| rest.split('/').next()?.parse().ok()));
    }
    // Read on, so that the node never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    let (exit, said) = says(api.unwrap(), "diverged");
    assert_eq!(exit, 6, "{said}");
    let digests =
        format!("the last at event 2: recorded {recorded:016x}, replayed {replayed:016x}");
    assert!(said.contains(&digests), "{said}");
    assert!(said.contains("event 2 has the same decisions as then"), "{said}");
    // The run of this node comes out as it is recorded, beyond the wrong one.
    let query = "{ node { shadow { divergences lag } } }";
    let began = Instant::now();
    loop {
        let shadow = ask(api.unwrap(), query, json!({})).await["node"]["shadow"].clone();
        assert_eq!(shadow["divergences"], "1");
        if shadow["lag"] == "0" {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{shadow}");
    }
    assert_eq!(node.end_with("TERM"), Some(0));
}
