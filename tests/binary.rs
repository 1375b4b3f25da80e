//! The binary `reprise`, as `tests/run` built it beside the tests.

use std::path::PathBuf;
use std::process::Command;

/// A command that runs it.
pub(crate) fn reprise() -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    // target/<profile>/deps/all-… → target/<profile>/reprise
    path.pop();
    path.pop();
    path.push("reprise");
    assert!(path.exists(), "run tests/run, which builds it: {}", path.display());
    Command::new(path)
}
