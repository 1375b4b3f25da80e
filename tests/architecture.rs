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

/// What every package of a build of everything is built from, by name and version. Asked of the tree
/// because the metadata also names what is only there for a feature that nobody has turned on.
fn built_from() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "normal", "--prefix", "depth"])
        .args(["--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut above: Vec<String> = Vec::new();
    // Such as `2rkyv v0.8.18 (*)`: how deep it lies, and a mark where its own tree was told before.
    for line in String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.is_empty()) {
        let name = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let depth: usize = line[..line.len() - name.len()].parse().unwrap();
        let name = name.split(' ').take(2).collect::<Vec<_>>().join(" ");
        above.truncate(depth);
        if let Some(user) = above.last() {
            edges.entry(user.clone()).or_default().insert(name.clone());
        }
        edges.entry(name.clone()).or_default();
        above.push(name);
    }
    edges
}

#[test]
fn the_core_is_built_from_nothing_impure() {
    let edges = built_from();
    let is = |package: &str, name: &str| package.split(' ').next() == Some(name);
    for core in PURE {
        let mut todo: Vec<&String> = edges.keys().filter(|package| is(package, core)).collect();
        assert_eq!(todo.len(), 1, "{core} is built once");
        let mut seen = BTreeSet::new();
        while let Some(package) = todo.pop() {
            if seen.insert(package) {
                let is_impure = IMPURE.iter().any(|name| is(package, name));
                assert!(!is_impure, "{core} is built from {package}");
                todo.extend(&edges[package]);
            }
        }
        assert!(seen.len() > 10, "{core} has a tree");
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
