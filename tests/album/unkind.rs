//! Bad input and bad luck: each ends in a clear reason, and nothing wrong reaches the library.

use std::io::{Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use domain::chunk::CHUNK_BYTES;
use domain::{ByteRange, Event, Input, Observation, Policy};
use loopback::album;
use loopback::discs::Disc;
use loopback::metadata_server::{Catalogue, Faults};
use loopback::peer::{Manner, Offer};
use loopback::world::World;
use node::{Node, StartError};
use serde_json::{Value, json};

use super::generous;
use super::support::{
    PATIENCE, Setting, add, add_album, ask, brisk, completed, discs, honest, job_until, manner,
    music, patient, refusing, settings,
};

fn refusals(job: &Value) -> Vec<String> {
    job["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|track| track["refused"].as_array().unwrap())
        .map(|refusal| refusal["reason"].as_str().unwrap().to_owned())
        .collect()
}

/// A peer that is quicker than all others and has one changed file.
fn bad_copy(dir: &Path, change: impl Fn(&mut std::fs::File, u64)) -> (Manner, Vec<Offer>) {
    let path = dir.join("bad.flac");
    std::fs::copy(&discs().flac[0].path, &path).unwrap();
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    change(&mut file, size);
    let disc = Disc::at(path).unwrap();
    (manner("bad", 90_000_000), vec![disc.offered_as(0, r"Music\The Tin Orchard - Harbour Lights")])
}

/// Waits until a node says that it is not logged in, and why. Before the first try it says that.
async fn closed_because(api: SocketAddr, part: &str) -> Value {
    let start = tokio::time::Instant::now();
    loop {
        let data = ask(api, "{ node { session reason nextAction } }", json!({})).await;
        let node = &data["node"];
        if node["reason"].as_str().is_some_and(|reason| reason.contains(part)) {
            assert_eq!(node["session"], "CLOSED");
            return node.clone();
        }
        assert!(start.elapsed() < PATIENCE, "{data}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_release_is_refused_by_what_it_is() {
    let setting = Setting::with(vec![]).await;
    let api = setting.node.api();
    for (text, part) in [
        ("hello", "neither a MusicBrainz release link"),
        ("https://www.discogs.com/release/1", "is not MusicBrainz"),
        (
            "https://musicbrainz.org/artist/0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11",
            "links to a MusicBrainz artist",
        ),
    ] {
        let answer = add(api, text).await;
        assert_eq!(answer["__typename"], "InvalidReference", "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(part), "{answer}");
    }
    setting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_release_fails_with_a_reason() {
    let setting = Setting::with(vec![]).await;
    let api = setting.node.api();
    let id = add(api, "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11").await["job"].clone();
    let job = job_until(api, id.as_str().unwrap(), "failed", |job| job["state"] == "FAILED").await;
    assert!(job["reason"].as_str().unwrap().contains("knows no release"), "{job}");
    assert!(job["nextAction"].is_string(), "{job}");
    setting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_without_recordings_fails_with_a_reason() {
    let mut bare = album::target();
    bare.tracks.clear();
    let catalogue = Catalogue { releases: vec![bare], sounds: Vec::new() };
    let world = World::with_catalogue(catalogue).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let id = add_album(node.api()).await;
    let job = job_until(node.api(), &id, "failed", |job| job["state"] == "FAILED").await;
    assert!(job["reason"].as_str().unwrap().contains("no recordings"), "{job}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_services_are_asked_again_and_the_album_completes() {
    let setting = Setting::with(vec![honest("ada", 50_000_000)]).await;
    setting.world.metadata().set_faults(Faults {
        release_status: vec![503, 429],
        lookup_status: vec![503],
        retry_after_s: Some(1),
        limit_rate: false,
    });
    let id = add_album(setting.node.api()).await;
    completed(setting.node.api(), &id).await;
    let deferred = setting
        .end()
        .await
        .iter()
        .map(domain::render::line)
        .filter(|line| line.contains("LookupDeferred"))
        .count();
    assert_eq!(deferred, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_leaves_the_job_waiting_with_a_reason() {
    let world = World::empty(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), &world, brisk());
    let (_taken, nobody) = refusing();
    settings.musicbrainz_url = format!("http://{nobody}");
    let node = Node::start(settings).await.unwrap();
    let id = add_album(node.api()).await;
    let job = job_until(node.api(), &id, "said why", |job| job["reason"].is_string()).await;
    assert_eq!(job["state"], "LOOKING_UP", "{job}");
    assert!(job["reason"].as_str().unwrap().contains("unreachable"), "{job}");
    assert!(job["nextAction"].is_string(), "{job}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_ends_in_zeros_is_refused_and_another_copy_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let bad = bad_copy(dir.path(), |file, size| {
        file.set_len(size / 2).unwrap();
        file.set_len(size).unwrap();
    });
    let setting = Setting::under(patient(), vec![bad, honest("ada", 5_000_000)]).await;
    let id = add_album(setting.node.api()).await;
    let job = completed(setting.node.api(), &id).await;
    let refusals = refusals(&job);
    assert!(refusals.iter().any(|reason| reason.contains("cut short")), "{refusals:?}");
    setting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_short_is_refused_and_another_copy_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let bad = bad_copy(dir.path(), |file, size| {
        file.set_len(size * 2 / 3).unwrap();
    });
    let setting = Setting::under(patient(), vec![bad, honest("ada", 5_000_000)]).await;
    let id = add_album(setting.node.api()).await;
    let job = completed(setting.node.api(), &id).await;
    let refusals = refusals(&job);
    assert!(refusals.iter().any(|reason| reason.contains("cut short")), "{refusals:?}");
    setting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_more_than_it_promised_adds_nothing_to_the_file() {
    let setting = Setting::under(patient(), vec![honest("ada", 5_000_000)]).await;
    let first = &discs().flac[0];
    let offer = first.offered_as(0, r"Music\The Tin Orchard - Harbour Lights");
    generous::join(setting.world.soulseek(), offer).await;
    let id = add_album(setting.node.api()).await;
    let job = completed(setting.node.api(), &id).await;
    // What it promised is the file, and the file is right.
    let sources = job["tracks"][0]["sources"].as_array().unwrap();
    let generous = sources.iter().find(|source| source["peer"] == "slsk:generous").unwrap();
    assert_eq!(generous["bytesAccepted"], first.size.to_string(), "{job:#}");
    let published = setting.dir.path().join("music").join(&music(setting.dir.path())[0]);
    let (published, original) =
        (audio::examine(&published).unwrap(), audio::examine(&first.path).unwrap());
    assert_eq!(published.pcm_blake3, original.pcm_blake3);
    let log = setting.end().await;
    let told = |line: String| line.contains("sent more than promised");
    assert!(log.iter().map(domain::render::line).any(told));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_with_other_bytes_is_never_mixed_with_the_one_held() {
    let dir = tempfile::tempdir().unwrap();
    // The same size, other bytes near the end, and gone before it is through.
    let mut bad = bad_copy(dir.path(), |file, size| {
        file.seek(SeekFrom::Start(size / 3)).unwrap();
        file.write_all(&[0xA5; 4096]).unwrap();
    });
    bad.0.bytes_per_s = 60_000_000;
    bad.0.dies_after = Some(discs().flac[0].size / 2);
    let setting = Setting::with(vec![bad, honest("ada", 5_000_000)]).await;
    let id = add_album(setting.node.api()).await;
    completed(setting.node.api(), &id).await;
    setting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stops_is_replaced_from_the_byte_held() {
    let mut setting = Setting::with(vec![]).await;
    // It sends one block and then as good as nothing.
    let (_, offers) = honest("stuck", 0);
    setting.world.join(manner("stuck", 300), offers[..1].to_vec()).await.unwrap();
    let id = add_album(setting.node.api()).await;
    job_until(setting.node.api(), &id, "began with the stuck peer", |job| {
        job["tracks"][0]["state"] == "DOWNLOADING"
    })
    .await;
    let (manner, offers) = honest("ada", 50_000_000);
    setting.world.join(manner, offers).await.unwrap();
    let job = completed(setting.node.api(), &id).await;
    let stuck = &job["tracks"][0]["sources"][0];
    assert_eq!(stuck["peer"], "slsk:stuck");
    let log = setting.end().await;
    assert!(log.iter().map(domain::render::line).any(|line| line.contains("stalled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_shown_with_what_to_do() {
    let mut world = World::empty(discs()).await.unwrap();
    // The name is taken, by somebody with another password.
    world.join(manner("node", 1000), Vec::new()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let shown = closed_because(node.api(), "password").await;
    assert!(shown["nextAction"].is_string(), "{shown}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let world = World::empty(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = settings(dir.path(), &world, brisk());
    settings.api = taken.local_addr().unwrap();
    let error = Node::start(settings).await.err().unwrap();
    assert!(matches!(error, StartError::Api { .. }));
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_others_could_reach_is_refused_before_anything_is_made() {
    let world = World::empty(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), &world, brisk());
    settings.api = "0.0.0.0:0".parse().unwrap();
    let error = Node::start(settings).await.err().unwrap();
    assert!(matches!(error, StartError::NotLoopback(_)), "{error}");
    assert!(error.to_string().contains("loopback"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_starts_again_at_once_where_it_was() {
    let world = World::empty(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), &world, brisk());
    for _ in 0..3 {
        let node = Node::start(settings.clone()).await.unwrap();
        // The same port again: nobody of the node before may still listen at it.
        settings.api = node.api();
        // A connection that is kept open, as browsers do.
        let client = reqwest::Client::new();
        let page = client.get(format!("http://{}/healthz", node.api())).send().await.unwrap();
        assert_eq!(page.text().await.unwrap(), "ok\n");
        node.stop().await.unwrap();
        drop(client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_for_others_that_is_in_use_is_tried_again_until_it_is_free() {
    let mut world = World::empty(discs()).await.unwrap();
    let (manner, offers) = honest("ada", 50_000_000);
    world.join(manner, offers).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), &world, brisk());
    let taken = std::net::TcpListener::bind(settings.account.listen).unwrap();
    settings.account.listen = taken.local_addr().unwrap();
    let node = Node::start(settings).await.unwrap();
    closed_because(node.api(), "in use").await;
    drop(taken);
    let id = add_album(node.api()).await;
    completed(node.api(), &id).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_cell_of_a_slow_file_is_reported_in_one_piece() {
    let mut world = World::empty(discs()).await.unwrap();
    // Slower than bytes are reported otherwise: the cell takes three seconds and more.
    let (manner, offers) = honest("ada", 80_000);
    world.join(manner, offers[..1].to_vec()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let policy = Policy { stall_after_ms: 60_000, ..brisk() };
    let node = Node::start(settings(dir.path(), &world, policy)).await.unwrap();
    let id = add_album(node.api()).await;
    job_until(node.api(), &id, "held bytes", |job| {
        job["tracks"][0]["bytesHeld"].as_str().is_some_and(|held| held != "0")
    })
    .await;
    node.stop().await.unwrap();
    let first =
        super::support::recorded(dir.path()).into_iter().find_map(|envelope| {
            match envelope.event {
                Event::Input(Input::Observation(Observation::ChunkArrived { range, .. })) => {
                    Some(range)
                }
                _ => None,
            }
        });
    assert_eq!(first, Some(ByteRange { start: 0, end: CHUNK_BYTES }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_the_job_until_there_is_space() {
    let world = {
        let mut world = World::empty(discs()).await.unwrap();
        let (manner, offers) = honest("ada", 50_000_000);
        world.join(manner, offers).await.unwrap();
        world
    };
    let dir = tempfile::tempdir().unwrap();
    // A disk on which every write fails for want of space, in the place of the first file.
    let staging = dir.path().join("data/staging");
    std::fs::create_dir_all(&staging).unwrap();
    let first = staging.join("job-1.track-1.attempt-0.part");
    symlink("/dev/full", &first).unwrap();
    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let id = add_album(node.api()).await;
    let job = job_until(node.api(), &id, "was held", |job| job["state"] == "HELD").await;
    assert!(job["reason"].as_str().unwrap().contains("disk full"), "{job}");
    assert!(job["nextAction"].is_string(), "{job}");
    std::fs::remove_file(&first).unwrap();
    completed(node.api(), &id).await;
    node.stop().await.unwrap();
    super::support::obeys_the_laws(&super::support::recorded(dir.path()), &brisk());
}

/// A small file system for a node's event log, which takes root to mount.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "reprise-test"])
            .arg(at)
            .status()
            .unwrap();
        assert!(mounted.success(), "this test mounts a small file system and needs to be root");
        Self(at)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_event_log_is_waited_for_and_nothing_is_lost() {
    let mut world = World::empty(discs()).await.unwrap();
    let (manner, offers) = honest("ada", 50_000_000);
    world.join(manner, offers).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("data/log");
    let _disk = SmallDisk::mount(&log);
    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let api = node.api();
    let ballast = log.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let adding = tokio::spawn(async move { add_album(api).await });
    let waits = async || {
        let data = ask(api, "{ node { logWaitsForSpace } }", json!({})).await;
        data["node"]["logWaitsForSpace"] == true
    };
    let start = Instant::now();
    // Small events may find room for a while; a release does not.
    while !waits().await {
        assert!(start.elapsed() < PATIENCE, "the log never found its disk full");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(&ballast).unwrap();
    let id = adding.await.unwrap();
    completed(api, &id).await;
    assert!(!waits().await);
    node.stop().await.unwrap();
    super::support::obeys_the_laws(&super::support::recorded(dir.path()), &brisk());
}
