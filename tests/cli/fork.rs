//! `reprise replay fork` over the history of a demo: what would have happened.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{code, demo, errors, run, said, text};

fn exported() -> PathBuf {
    demo().join("job-1.replay")
}

/// An event before anybody was asked for anything.
const EARLY: [&str; 2] = ["--at", "20"];

fn told(history: &Path, arguments: &[&str]) -> String {
    let output = run(&[&["replay", "fork", text(history)], &EARLY[..], arguments].concat());
    assert_eq!(code(&output), 0, "{arguments:?}: {}", errors(&output));
    said(&output)
}

fn json(history: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&told(history, &[arguments, &["--json"]].concat())).unwrap()
}

/// Who gave most in an end.
fn giver(end: &Value) -> String {
    let peers = end["peers"].as_array().unwrap().iter();
    let most = peers.max_by_key(|peer| peer["bytes"].as_u64().unwrap()).unwrap();
    most["peer"].as_str().unwrap().to_owned()
}

#[test]
fn a_change_stands_beside_what_was_recorded_and_what_the_model_makes_of_no_change() {
    let history = exported();
    let text = told(&history, &["--set", "policy.transfers=1"]);
    for part in ["recorded", "unchanged", "changed", "track 1/9", "modelled"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ends = json(&history, &["--set", "policy.transfers=1"]);
    for (end, is_modelled) in [("recorded", false), ("unchanged", true), ("changed", true)] {
        assert_eq!(ends[end]["modelled"], is_modelled, "{ends}");
        assert_eq!(ends[end]["tracks"].as_array().unwrap().len(), 9, "{ends}");
    }
    assert!(ends["recorded"]["completeMs"].as_u64().is_some());
    // One after the other instead of many at once.
    let unchanged = ends["unchanged"]["completeMs"].as_u64().unwrap_or(u64::MAX);
    assert!(ends["changed"]["completeMs"].as_u64().is_none_or(|changed| changed > unchanged));
}

#[test]
fn who_is_dropped_gives_nothing_and_the_same_seeds_give_the_same_spread() {
    let history = exported();
    let peer = giver(&json(&history, &[])["recorded"]);
    let arguments = ["--drop-peer", &peer, "--runs", "5"];
    let ends = json(&history, &arguments);
    let gave = ends["changed"]["runs"]["peers"].as_array().unwrap();
    assert!(!gave.is_empty() && gave.iter().all(|one| one["peer"] != *peer), "{ends}");
    assert_eq!(ends["unchanged"]["runs"]["seeds"], serde_json::json!([1, 5]));
    assert_eq!(ends, json(&history, &arguments));
    let text = told(&history, &arguments);
    for part in ["5 runs, seeds 1 to 5", "p50 until complete", "used slsk:", "first unlike"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Redacted or not, it is the same history.
    let log = json(&demo().join("data"), &[]);
    assert_eq!(log["unchanged"]["tracks"], json(&history, &[])["unchanged"]["tracks"]);
}

#[test]
fn what_cannot_be_changed_is_refused_with_what_can() {
    let history = exported();
    let refused = |arguments: &[&str], exit: i32, words: &str| {
        let output = run(&[&["replay", "fork", text(&history)], arguments].concat());
        assert_eq!(code(&output), exit, "{arguments:?}: {}", errors(&output));
        assert!(errors(&output).contains(words), "{}", errors(&output));
        assert!(output.stdout.is_empty(), "{output:?}");
    };
    refused(&["--at", "20", "--set", "policy.transfer=1"], 2, "only searches_per_window, ");
    refused(&["--at", "20", "--set", "transfers=1"], 2, "policy.NAME=NUMBER");
    refused(&["--at", "20", "--set", "policy.transfers=many"], 2, "policy.NAME=NUMBER");
    refused(&["--at", "20", "--set", "policy.transfers=4294967296"], 2, "too large");
    refused(&["--at", "20", "--runs", "0"], 2, "1 or more");
    refused(&["--at", "20", "--drop-peer", "nobody"], 3, "only slsk:");
    refused(&["--at", "999999"], 3, "there is no event 999999; the last one is");
    refused(&["--at", "0"], 3, "there is no event 0");
}
