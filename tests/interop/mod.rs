//! Clients that others wrote give us an album and fetch it back from us: the proof that what we
//! speak is what the network speaks. They are never a part of the product.

mod process;

use std::path::Path;

use domain::decision::CutReason;
use domain::observation::{Observation, TransferEnd};
use domain::{Decision, Envelope, Event, Input};
use loopback::album;
use loopback::peer::Manner;
use serde_json::Value;
use tempfile::TempDir;

use crate::album::support::{Setting, add_album, completed, discs, manner, music};
use process::Kind;

const FOLDER: &str = "The Tin Orchard - Harbour Lights";

#[tokio::test(flavor = "multi_thread")]
async fn aioslsk_gives_us_the_album_and_fetches_it_back() {
    there_and_back(Kind::Aioslsk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aioslsk_goes_on_where_a_dead_peer_stopped() {
    takeover(Kind::Aioslsk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nicotine_gives_us_the_album_and_fetches_it_back() {
    there_and_back(Kind::Nicotine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nicotine_goes_on_where_a_dead_peer_stopped() {
    takeover(Kind::Nicotine).await;
}

async fn there_and_back(kind: Kind) {
    let setting = Setting::with(vec![]).await;
    let server = setting.world.soulseek();
    let shared = shelf();
    let giver = process::share(kind, server, "giver", shared.path()).await;
    let id = add_album(setting.node.api()).await;
    let job = completed(setting.node.api(), &id).await;
    for track in job["tracks"].as_array().unwrap() {
        assert!(track["acoustid"].is_string(), "verified by its sound: {track:#}");
        assert!(bytes_from(track, "slsk:giver") > 0, "{track:#}");
        assert_eq!(track["refused"].as_array().unwrap().len(), 0, "{track:#}");
    }
    giver.stop().await;

    let out = tempfile::tempdir().unwrap();
    let wanted = ("tin orchard harbour lights", 9, "node");
    let fetched = process::fetch(kind, server, "taker", wanted, out.path()).await;
    let ours = music(setting.dir.path());
    assert_eq!((ours.len(), fetched.len()), (9, 9));
    for file in &ours {
        let name = file.file_name().unwrap().to_str().unwrap();
        let copy = fetched
            .iter()
            .find(|copy| copy.remote.rsplit('\\').next() == Some(name))
            .unwrap_or_else(|| panic!("{name} was not fetched"));
        let original = std::fs::read(setting.dir.path().join("music").join(file)).unwrap();
        assert!(std::fs::read(&copy.local).unwrap() == original, "{name} differs");
    }
    everything_went_well_at_once(&setting.end().await);
}

/// Nothing had to be asked for twice: a lost message would be made good and would not be seen.
fn everything_went_well_at_once(log: &[Envelope]) {
    let (mut downloads, mut uploads, mut cuts) = (Vec::new(), Vec::new(), Vec::new());
    for envelope in log {
        match &envelope.event {
            Event::Input(Input::Observation(Observation::TransferEnded { end, .. })) => {
                downloads.push(end);
            }
            Event::Input(Input::Observation(Observation::UploadEnded { complete, .. })) => {
                uploads.push(complete);
            }
            Event::Decision(Decision::AssignmentCut { reason, .. }) => cuts.push(reason),
            _ => {}
        }
    }
    assert_eq!(downloads, [&TransferEnd::Complete; 9]);
    // The end of the last one may come when the node is already on its way out.
    assert!(uploads.len() >= 8 && uploads.iter().all(|complete| **complete), "{uploads:?}");
    assert_eq!(cuts, Vec::<&CutReason>::new());
}

async fn takeover(kind: Kind) {
    // The longest track. The peer that dies is quick, so that it is asked before the real one.
    const TRACK: u8 = 5;
    let disc = &discs().flac[usize::from(TRACK)];
    let dying = Manner { dies_after: Some(disc.size / 2), ..manner("dying", 2_000_000) };
    let offer = disc.offered_as(TRACK, &format!(r"Music\{FOLDER}"));
    let setting = Setting::with(vec![(dying, vec![offer])]).await;
    let shared = shelf();
    let giver = process::share(kind, setting.world.soulseek(), "giver", shared.path()).await;
    let id = add_album(setting.node.api()).await;
    let job = completed(setting.node.api(), &id).await;
    let track = &job["tracks"][usize::from(TRACK)];
    assert_ne!(track["takeovers"], 0, "{track:#}");
    let (before, after) = (bytes_from(track, "slsk:dying"), bytes_from(track, "slsk:giver"));
    assert!(before > 0 && after > 0, "{track:#}");
    // Nothing that was held came a second time.
    assert_eq!(before + after, disc.size, "{track:#}");
    assert!(track["acoustid"].is_string(), "verified by its sound: {track:#}");
    giver.stop().await;
    setting.end().await;
}

/// A folder as people have them, with the album in it.
fn shelf() -> TempDir {
    let shelf = tempfile::tempdir().unwrap();
    let folder = shelf.path().join(FOLDER);
    std::fs::create_dir(&folder).unwrap();
    for (disc, track) in discs().flac.iter().zip(album::target().tracks) {
        put(&disc.path, &folder.join(format!("{:02} - {}.flac", track.position, track.title)));
    }
    shelf
}

fn put(from: &Path, to: &Path) {
    std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(drop)).unwrap();
}

fn bytes_from(track: &Value, peer: &str) -> u64 {
    let sources = track["sources"].as_array().unwrap().iter();
    sources
        .filter(|source| source["peer"] == peer)
        .map(|source| source["bytesAccepted"].as_str().unwrap().parse::<u64>().unwrap())
        .sum()
}
