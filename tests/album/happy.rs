//! The main job when the world is as the demo's: good, bad and dying peers.

use audio::read_tags;
use domain::Policy;
use loopback::album;
use loopback::world::World;
use node::Node;

use super::support::{
    Setting, add_album, brisk, completed, discs, honest, music, obeys_the_laws, recorded, settings,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_album_completes_among_good_bad_and_dying_peers() {
    let world = World::demo(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(settings(dir.path(), &world, brisk())).await.unwrap();
    let id = add_album(node.api()).await;
    let job = completed(node.api(), &id).await;
    node.stop().await.unwrap();

    let tracks = job["tracks"].as_array().unwrap();
    assert_eq!(tracks.len(), 9);
    // The dying peer's file was continued by another.
    assert!(tracks.iter().any(|track| track["takeovers"] != 0), "{job:#}");
    // The impostor was found out by its sound.
    let refused = &tracks[3]["refused"][0];
    assert_eq!(refused["peers"][0], "slsk:pinch", "{job:#}");
    assert!(refused["reason"].as_str().unwrap().contains("wrong recording"), "{refused}");

    let target = album::target();
    let files = music(dir.path());
    assert_eq!(files.len(), 9, "{files:?}");
    for (index, file) in files.iter().enumerate() {
        let path = dir.path().join("music").join(file);
        let tags = read_tags(&path).unwrap();
        let track = &target.tracks[index];
        assert_eq!(tags.title.as_deref(), Some(track.title.as_str()));
        assert_eq!(tags.musicbrainz_recording_id, Some(track.recording.to_string()));
        assert_eq!(tags.musicbrainz_release_id, Some(target.release.to_string()));
        assert_eq!(tags.track_number, Some(u32::from(track.position)));
        // Tagging left the sound alone.
        let original = audio::examine(&discs().flac[index].path).unwrap();
        let published = audio::examine(&path).unwrap();
        if path.extension().is_some_and(|end| end == "flac") {
            assert_eq!(original.pcm_blake3, published.pcm_blake3);
        }
    }
    assert!(files.iter().any(|file| file.extension().is_some_and(|end| end == "ogg")));
    obeys_the_laws(&recorded(dir.path()), &brisk());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_is_shared_and_another_node_fetches_it_from_there() {
    let giver = Setting::with(vec![honest("ada", 50_000_000)]).await;
    let id = add_album(giver.node.api()).await;
    completed(giver.node.api(), &id).await;

    // A second node whose world has nobody but the first one.
    let dir = tempfile::tempdir().unwrap();
    let mut second = settings(dir.path(), &giver.world, brisk());
    second.account.user = "second".into();
    let node = Node::start(second).await.unwrap();
    let id = add_album(node.api()).await;
    let job = completed(node.api(), &id).await;
    node.stop().await.unwrap();
    let gave: Vec<_> = job["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|track| track["sources"].as_array().unwrap())
        .map(|source| source["peer"].as_str().unwrap())
        .collect();
    assert!(gave.contains(&"slsk:node"), "{gave:?}");
    giver.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_not_added_twice_and_the_policy_of_a_run_is_recorded() {
    let setting = Setting::with(vec![honest("ada", 50_000_000)]).await;
    let api = setting.node.api();
    let id = add_album(api).await;
    let link = format!("https://musicbrainz.org/release/{}", album::RELEASE);
    let again = super::support::add(api, &link).await;
    assert_eq!(again["__typename"], "Duplicate", "{again}");
    completed(api, &id).await;
    let log = setting.end().await;
    assert!(matches!(
        &log[0].event,
        domain::Event::Input(domain::Input::Observation(domain::Observation::NodeStarted {
            policy,
            ..
        })) if *policy == brisk() && *policy != Policy::default()
    ));
}
