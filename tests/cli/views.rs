//! `reprise views` against a running node.

use std::net::SocketAddr;
use std::time::Instant;

use loopback::world::World;

use super::{code, errors, run};
use crate::album::support::{PATIENCE, config, discs};
use crate::binary::serve;

fn views(api: SocketAddr, arguments: &[&str]) -> (i32, String) {
    let output = run(&[&["views", "--api", &api.to_string()], arguments].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (code(&output), said + &errors(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_listed_and_folded_anew() {
    let world = World::empty(discs()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (_node, api) = serve(&config(dir.path(), &world, "127.0.3.9:0"));
    let (exited, said) = views(api, &["list"]);
    assert_eq!((exited, said.lines().count()), (0, 4), "{said}");
    assert!(said.contains("jobs    ") && said.contains("trace   "), "{said}");
    assert!(said.contains("search  "), "{said}");

    let (exited, said) = views(api, &["rebuild", "jobs"]);
    assert_eq!((exited, said.contains("jobs is folded anew")), (0, true), "{said}");
    let start = Instant::now();
    while views(api, &["list"]).1.contains("rebuilding") {
        assert!(start.elapsed() < PATIENCE);
    }
    let (exited, said) = views(api, &["letters", "jobs"]);
    assert_eq!((exited, said.as_str()), (0, "jobs has taken every event in\n"));

    for arguments in [&["retry", "job"][..], &["letters", "job"], &["skip", "job", "1"]] {
        let (exited, said) = views(api, arguments);
        assert!(
            exited == 1 && said.contains("only jobs, trace, chat, search"),
            "{arguments:?}: {said}"
        );
    }
    let (exited, said) = views(api, &["skip", "jobs", "1"]);
    assert!(exited == 1 && said.contains("event 1 is no dead letter of jobs"), "{said}");
}
