//! A node that is killed in the middle goes on from the bytes it has. The node is a process of its
//! own, killed with SIGKILL; the world lives on.

use domain::observation::Observation;
use domain::{Event, Input, Policy};
use loopback::world::World;

use crate::binary::serve;

use super::support::{add_album, completed, config, discs, honest, job_until, music, recorded};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_goes_on_from_the_bytes_it_has() {
    let mut world = World::empty(discs()).await.unwrap();
    // Slow enough to be caught in the middle.
    for (user, speed) in [("ada", 1_500_000), ("bob", 1_000_000)] {
        let (manner, offers) = honest(user, speed);
        world.join(manner, offers).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &world, "127.0.3.1:0");

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
