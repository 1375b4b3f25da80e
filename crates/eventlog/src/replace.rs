//! Lets one log take the place of another at once: whoever opens it finds the one or the other, whole,
//! whenever the machine stops. What the new one tells is the caller's.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::active::sync_folder;

/// Exchanges two folders of one parent. The other one is left where the new one was.
///
/// # Errors
/// When the file system cannot do it; nothing has changed then.
pub fn exchange(log: &Path, new: &Path) -> io::Result<()> {
    let log = log.canonicalize()?;
    renameat_with(CWD, &log, CWD, new, RenameFlags::EXCHANGE)?;
    sync_folder(log.parent().unwrap_or(&log))
}
