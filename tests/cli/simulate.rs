//! `reprise replay simulate`: what it says of lives that obey, and of faults it does not understand.

use std::process::Output;

use super::{code, errors, run, text};

#[test]
fn lives_obey_and_the_last_one_is_a_history_that_replays() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, out) = (dir.path().join("faults"), dir.path().join("life.replay"));
    std::fs::write(&faults, "0 peer-lies 0\n5 crash after-effects 1 # early\n9 disk-full\n")
        .unwrap();
    let simulate = ["replay", "simulate", "--seed", "40", "--lives", "3"];
    let output = run(&[&simulate[..], &["--faults", text(&faults), "--out", text(&out)]].concat());
    assert_eq!(code(&output), 0, "{}", errors(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("3 lives obey every law") && said.contains(" 3 crashes"), "{said}");
    let output = run(&["replay", "verify", text(&out)]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("the life of seed 42") && said.contains("every step asked"), "{said}");
}

#[test]
fn many_nodes_share_until_all_have_what_they_want() {
    let simulate = ["replay", "simulate", "--nodes", "40", "--seed", "3"];
    let (first, second) = (run(&simulate), run(&simulate));
    assert_eq!(code(&first), 0, "{}", errors(&first));
    let said = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let digest = text.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        (text, digest)
    };
    assert!(said(&first).0.contains("40 of 40 nodes"), "{}", said(&first).0);
    assert_eq!(said(&first).1, said(&second).1);
    let output = run(&[&simulate[..], &["--minutes", "1"]].concat());
    assert_eq!(code(&output), 6, "nobody is done in a minute");
}

#[test]
fn faults_that_are_not_there_or_not_understood_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let faults = dir.path().join("faults");
    let output = run(&["replay", "simulate", "--faults", text(&faults)]);
    assert_eq!(code(&output), 3);
    std::fs::write(&faults, "soon earthquake\n").unwrap();
    let output = run(&["replay", "simulate", "--faults", text(&faults)]);
    assert_eq!(code(&output), 2);
    assert!(errors(&output).contains("line 1 is no fault"), "{}", errors(&output));
}
