//! Keeps a second writer out: the one process that has the log open holds a lock on an empty file
//! beside it. sled has a lock of its own, which tells nothing to who waits for it.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::log::OpenError;

/// The lock, held until it is dropped.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the log in `dir`.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let io = |what| move |source| OpenError::Io { what, source };
        let file = File::create(dir.join("lock")).map_err(io("create the lock of"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
            Err(TryLockError::Error(source)) => Err(io("lock")(source)),
        }
    }
}
