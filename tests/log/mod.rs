//! The event log as a program from outside: killed again and again, damaged, copied, put back.

mod commands;
mod kill;

use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether some bytes stand in any file of a folder.
pub(crate) fn somewhere(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        match path.is_dir() {
            true => somewhere(&path, bytes),
            false => {
                std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes)
            }
        }
    })
}
