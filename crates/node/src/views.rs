//! Where the views of a node lie, and how they are taken away: they are made of the log, so a node that
//! starts without them makes them anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The store of the jobs and of the trace.
pub(crate) fn store(data: &Path) -> PathBuf {
    data.join("views")
}

/// The search's index.
pub(crate) fn search(data: &Path) -> PathBuf {
    data.join("search")
}

/// Removes the views in a data folder of a node that is not running, and what they remember of anybody.
/// A folder of the same name that is something else stays.
///
/// # Errors
/// When one is there and cannot be removed.
pub fn remove(data: &Path) -> io::Result<()> {
    // What sled keeps in every store, and the search in every index.
    for (folder, mark) in [(store(data), "conf"), (search(data), "current")] {
        if folder.join(mark).is_file() {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}
