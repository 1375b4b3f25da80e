//! A copy of the log of a node at work, taken through its API by the program that people use, and put
//! back as the log of another node.

use std::path::Path;
use std::process::Output;

use domain::Seq;
use eventlog::Log;
use loopback::world::World;
use node::Node;

use crate::binary::reprise;

use super::support::{add_album, brisk, completed, discs, honest, job_until, recorded, settings};

fn log(args: &[&str]) -> Output {
    reprise().arg("log").args(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_taken_while_the_node_works_and_another_node_goes_on_from_it() {
    let mut world = World::empty(discs()).await.unwrap();
    let (manner, offers) = honest("ada", 2_000_000);
    world.join(manner, offers).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let id = add_album(node.api()).await;
    job_until(node.api(), &id, "had a track", |job| job["tracksCompleted"] != 0).await;

    let (copy, api) = (dir.path().join("copy"), node.api().to_string());
    let take = ["backup", "--api", &api, "--to", text(&copy)];
    let taken = tokio::task::block_in_place(|| log(&take));
    assert!(taken.status.success(), "{taken:?}");
    let again = tokio::task::block_in_place(|| log(&take));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"), "{again:?}");
    completed(node.api(), &id).await;
    node.stop().await.unwrap();

    let other = tempfile::tempdir().unwrap();
    let back = other.path().join("data/log");
    std::fs::create_dir(other.path().join("data")).unwrap();
    let restored = log(&["restore", "--from", text(&copy), "--dir", text(&back)]);
    assert!(restored.status.success(), "{restored:?}");
    let reader = Log::read(&back).unwrap();
    let prefix: Vec<_> = reader.range(Seq(1)..=reader.durable()).collect::<Result<_, _>>().unwrap();
    drop(reader);
    let all = recorded(dir.path());
    assert!(prefix.len() < all.len(), "the copy was taken before the end");
    assert_eq!(prefix, all[..prefix.len()]);
    // What it had downloaded is not there, so that is fetched again.
    let node = Node::start(settings(other.path(), &world, brisk())).await.unwrap();
    completed(node.api(), &id).await;
    node.stop().await.unwrap();
}

#[test]
fn a_node_that_does_not_answer_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_taken, address) = super::support::refusing();
    let copy = dir.path().join("copy");
    let taken = log(&["backup", "--api", &address.to_string(), "--to", text(&copy)]);
    assert_eq!(taken.status.code(), Some(4), "{taken:?}");
    assert!(String::from_utf8_lossy(&taken.stderr).contains("no node answers"), "{taken:?}");
    assert!(!copy.exists(), "the next attempt may use it");
}
