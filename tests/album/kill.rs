//! A node that is killed in the middle goes on from the bytes it has. The node is a process of its
//! own, killed with SIGKILL; the world lives on.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use domain::observation::Observation;
use domain::{Event, Input, Policy};
use loopback::world::World;

use crate::binary::reprise;

use super::support::{add_album, completed, discs, honest, job_until, music, recorded};

/// A running process; it does not outlive the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(config: &Path) -> (Process, SocketAddr) {
    let mut child =
        reprise().args(["serve", "--config"]).arg(config).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let api = loop {
        let line = lines.next().expect("the node ended before it listened").unwrap();
        if let Some(rest) = line.split("listens at http://").nth(1) {
            break rest.split('/').next().unwrap().parse().unwrap();
        }
    };
    // Read on, so that the node never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (Process(child), api)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_goes_on_from_the_bytes_it_has() {
    let mut world = World::empty(discs()).await.unwrap();
    // Slow enough to be caught in the middle.
    for (user, speed) in [("ada", 1_500_000), ("bob", 1_000_000)] {
        let (manner, offers) = honest(user, speed);
        world.join(manner, offers).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yml");
    let services = world.metadata().url();
    std::fs::write(
        &config,
        format!(
            "data: data\nmusic: music\nsoulseek:\n  server: {}\n  user: killed\n  password: secret\n  \
             listen: 127.0.3.1:0\nacoustid:\n  url: {services}\n  key: test\nmusicbrainz:\n  url: \
             {services}\n  contact: test\napi:\n  listen: 127.0.0.1:0\n",
            world.soulseek()
        ),
    )
    .unwrap();

    let (process, api) = serve(&config);
    let id = add_album(api).await;
    // At least one track is done and another is under way.
    job_until(api, &id, "was in the middle", |job| {
        let tracks = job["tracks"].as_array().unwrap();
        job["tracksCompleted"] != 0
            && tracks
                .iter()
                .any(|track| track["state"] == "DOWNLOADING" && track["bytesHeld"] != "0")
    })
    .await;
    drop(process);
    let before = recorded(dir.path());

    let (process, api) = serve(&config);
    completed(api, &id).await;
    drop(process);
    let log = recorded(dir.path());
    assert_eq!(log[..before.len()], before, "what was recorded stays recorded");
    super::support::obeys_the_laws(&log, &Policy::default());
    assert_eq!(music(dir.path()).len(), discs().flac.len());
    // Bytes that were held before the kill are not fetched again: every accepted byte arrived once.
    let arrived: u64 = log
        .iter()
        .filter_map(|envelope| match &envelope.event {
            Event::Input(Input::Observation(Observation::ChunkArrived { range, .. })) => {
                Some(range.len())
            }
            _ => None,
        })
        .sum();
    let size: u64 = discs().flac.iter().map(|disc| disc.size).sum();
    assert_eq!(arrived, size);
}
