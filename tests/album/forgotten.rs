//! A node whose log was told anew without one of its peers: what it had done is done, and nobody can
//! say who that was.

use loopback::world::World;
use node::Node;

use crate::binary::reprise;
use crate::log::somewhere;

use super::support::{
    add_album, brisk, completed, discs, honest, job, music, obeys_the_laws, recorded, settings,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_without_knowing_who_gave_it_its_music() {
    let mut world = World::empty(discs()).await.unwrap();
    let (manner, offers) = honest("adalovelace", 50_000_000);
    world.join(manner, offers).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let id = add_album(node.api()).await;
    let before = completed(node.api(), &id).await;
    assert!(before.to_string().contains("adalovelace"), "{before:#}");
    node.stop().await.unwrap();

    let data = dir.path().join("data");
    assert!(somewhere(&data.join("views"), b"adalovelace"));
    assert!(somewhere(&data.join("search"), b"adalovelace"));
    let log = data.join("log");
    let forget = ["log", "forget", "--peer", "slsk:adalovelace", "--dir", log.to_str().unwrap()];
    let forgotten = reprise().args(forget).output().unwrap();
    assert!(forgotten.status.success(), "{forgotten:?}");
    assert!(!somewhere(&data, b"adalovelace"));
    obeys_the_laws(&recorded(dir.path()), &brisk());

    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let after = completed(node.api(), &id).await;
    assert!(!after.to_string().contains("adalovelace"), "{after:#}");
    assert!(after.to_string().contains("forgotten-"), "{after:#}");
    let path = |job: &serde_json::Value, track: usize| job["tracks"][track]["path"].clone();
    assert_eq!(path(&before, 0), path(&after, 0), "our own paths stay");
    assert_eq!(job(node.api(), &id).await["tracksCompleted"], before["tracksCompleted"]);
    node.stop().await.unwrap();
    assert_eq!(music(dir.path()).len(), discs().flac.len());
}
