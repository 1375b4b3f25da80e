//! `reprise node searches`: what waits for its turn in a world where nobody has anything.

use std::time::Instant;

use loopback::album;
use loopback::world::World;

use super::{assert_job, code, errors, run, said};
use crate::album::support::{PATIENCE, config, discs};
use crate::binary::serve;

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_searched_for_is_listed_with_its_wait() {
    let world = World::empty(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &world, "127.0.3.10:0");
    let (node, api) = serve(&config);
    let link = format!("https://musicbrainz.org/release/{}", album::RELEASE);
    assert_job(api, &["add", &link], 0, "job 1 was added");
    let began = Instant::now();
    // The album is searched for, then its tracks, two at a time.
    loop {
        let output = run(&["node", "--api", &api.to_string(), "searches"]);
        let said = said(&output);
        assert_eq!(code(&output), 0, "{}", errors(&output));
        assert!(began.elapsed() < PATIENCE, "{said}");
        if said.contains("2 of 2 running, 7 waiting") {
            assert!(said.starts_with("3 of 34 searches sent in the last 220 s"), "{said}");
            let is_track =
                |line: &&str| line.contains(" job 1/") && line.contains(": tin orchard ");
            let (running, rest): (Vec<_>, Vec<_>) =
                said.lines().filter(is_track).partition(|line| line.starts_with("running "));
            let (next, later): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|line| line.starts_with("next "));
            assert_eq!((running.len(), next.len(), later.len()), (2, 6, 1), "{said}");
            // The title track has the words of the album, which were just asked.
            let wait = later[0].strip_prefix("in ").and_then(|rest| rest.split_once(" s "));
            let seconds: u32 = wait.unwrap().0.parse().unwrap();
            assert!(
                (60..=120).contains(&seconds) && later[0].ends_with("harbour lights"),
                "{said}"
            );
            break;
        }
    }
    assert_eq!(node.end_with("TERM"), Some(0));
}
