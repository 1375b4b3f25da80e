//! What the layout promises, asked of the build itself: which crate may know which, that the core is
//! pure, and that every file says what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each crate may use. An arrow that is not here does not compile past this
/// test.
const EDGES: [(&str, &[&str]); 14] = [
    ("domain", &[]),
    ("engine", &["domain"]),
    ("sim", &["domain", "engine"]),
    ("eventlog", &["domain"]),
    ("projections", &["domain", "eventlog"]),
    ("replay", &["domain", "engine", "eventlog"]),
    ("api", &["domain", "eventlog", "projections", "replay"]),
    ("audio", &[]),
    ("soulseek", &[]),
    ("metadata", &["domain"]),
    (
        "node",
        &[
            "api",
            "audio",
            "domain",
            "engine",
            "eventlog",
            "metadata",
            "projections",
            "replay",
            "soulseek",
        ],
    ),
    ("loopback", &["audio", "domain", "soulseek"]),
    ("reprise", &["api", "domain", "eventlog", "loopback", "node", "replay", "sim"]),
    ("reprise-tests", &[]),
];

/// Everything the core may be built from. A clock, a socket, a runtime or a random number generator
/// would have to come in by one of these.
const PURE: [&str; 2] = ["domain", "engine"];
const IMPURE: [&str; 8] =
    ["tokio", "rand", "getrandom", "sled", "reqwest", "mio", "chrono", "libc"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    // Packages of other platforms need not be on this machine.
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let about = String::from_utf8(rustc.stdout).unwrap();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_know_only_what_they_may() {
    let metadata = metadata();
    let members: BTreeMap<&str, BTreeSet<&str>> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["source"].is_null())
        .map(|package| {
            let edges = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|edge| edge["kind"].is_null() && edge["source"].is_null())
                .map(|edge| edge["name"].as_str().unwrap())
                .collect();
            (package["name"].as_str().unwrap(), edges)
        })
        .collect();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.iter().map(|(name, edges)| (*name, edges.iter().copied().collect())).collect();
    assert_eq!(
        members.keys().collect::<Vec<_>>(),
        allowed.keys().collect::<Vec<_>>(),
        "a crate came or went: say here what it may know"
    );
    for (name, edges) in members {
        let beyond: Vec<_> = edges.difference(&allowed[name]).collect();
        assert!(beyond.is_empty(), "{name} must not know {beyond:?}");
    }
}

#[test]
fn the_core_is_built_from_nothing_impure() {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let edges: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let normal = node["deps"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dep| {
                    dep["dep_kinds"].as_array().unwrap().iter().any(|k| k["kind"].is_null())
                })
                .map(|dep| dep["pkg"].as_str().unwrap())
                .collect();
            (node["id"].as_str().unwrap(), normal)
        })
        .collect();
    for core in PURE {
        let mut todo: Vec<&str> =
            names.iter().filter(|(_, name)| **name == core).map(|(id, _)| *id).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if seen.insert(id) {
                assert!(!IMPURE.contains(&names[id]), "{core} is built from {}", names[id]);
                todo.extend(&edges[id]);
            }
        }
    }
}

#[test]
fn the_core_is_held_to_the_same_lints() {
    let read = |path: &str| std::fs::read_to_string(root().join("crates").join(path)).unwrap();
    let denied =
        "#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]";
    for core in PURE {
        assert!(read(&format!("{core}/src/lib.rs")).contains(denied), "{core} denies no float");
        assert_eq!(
            read(&format!("{core}/clippy.toml")),
            read("engine/clippy.toml"),
            "{core} may use what engine may not"
        );
    }
}

#[test]
fn every_file_says_what_it_is() {
    let mut silent = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["crates", "replay", "tests", "fuzz"].iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !std::fs::read_to_string(&path).unwrap().starts_with("//!")
            {
                silent.push(path);
            }
        }
    }
    assert!(silent.is_empty(), "these files do not open with //!: {silent:?}");
}

#[test]
fn no_test_file_is_forgotten() {
    let main = std::fs::read_to_string(root().join("tests/main.rs")).unwrap();
    for entry in std::fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_module =
            path.extension().is_some_and(|end| end == "rs") || path.join("mod.rs").exists();
        if is_module && !matches!(name.as_str(), "main" | "lib") {
            assert!(main.contains(&format!("mod {name};")), "tests/main.rs does not name {name}");
        }
    }
}

#[test]
fn every_fuzz_target_is_built_and_has_seeds() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for entry in std::fs::read_dir(root().join("fuzz/targets")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no {name}");
        let seeds = root().join("fixtures/fuzz").join(name);
        let count = std::fs::read_dir(seeds).map_or(0, Iterator::count);
        assert!(count > 0, "fixtures/fuzz has no {name}; see fuzz/examples/seeds.rs");
    }
}
