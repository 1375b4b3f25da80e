//! `reprise sched-sim`: one JSON object of what came of each world, and what is no world.

use std::path::Path;

use serde_json::Value;

use super::{code, errors, run, text};

fn world(name: &str) -> String {
    format!("{}/../fixtures/scenarios/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_world_is_told_of_by_its_name() {
    let output = run(&["sched-sim", "--bound", &world("steady"), &world("queues")]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told.as_object().unwrap().len(), 2);
    assert!(told["steady"]["t_s"].as_f64().unwrap() > 9.0, "{told}");
    assert!(told["steady"]["wire_bytes"].as_u64().unwrap() >= 20 << 20, "{told}");
    assert_eq!(told["queues"]["ok"], true);
    assert!(told["queues"]["slsk_starts"]["s0"].as_u64().unwrap() <= 4, "{told}");
    assert!(errors(&output).contains("efficiency: mean 0.9"), "{}", errors(&output));
}

#[test]
fn a_world_that_is_not_there_or_makes_no_sense_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("world.json");
    assert_eq!(code(&run(&["sched-sim", text(&file)])), 3);
    for words in
        ["", "{}", "[1, 2", "{\"name\": \"x\", \"size\": 0, \"verify_unit\": 1, \"peers\": []}"]
    {
        std::fs::write(&file, words).unwrap();
        let output = run(&["sched-sim", text(&file)]);
        assert_eq!(code(&output), 2, "{words}");
        assert!(errors(&output).contains(text(Path::new("world.json"))), "{}", errors(&output));
        assert!(output.stdout.is_empty());
    }
}
