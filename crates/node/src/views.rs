//! Where the views of a node lie, and how they are taken away: they are made of the log, so a node that
//! starts without them makes them anew.

use std::io;
use std::path::{Path, PathBuf};

use projections::Store;
use projections::search::Search;

/// The store of the jobs, of the trace and of what was said.
pub(crate) fn store(data: &Path) -> PathBuf {
    data.join("views")
}

/// The search's index.
pub(crate) fn search(data: &Path) -> PathBuf {
    data.join("search")
}

/// Removes the views in a data folder of a node that is not running, and what they remember of anybody.
/// What is only called like them stays.
///
/// # Errors
/// When one is there and cannot be removed.
pub fn remove(data: &Path) -> io::Result<()> {
    Store::remove(&store(data))?;
    Search::remove(&search(data))
}
