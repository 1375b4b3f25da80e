//! Keeps a second writer out: the one process that has the log open holds a lock on an empty file
//! beside it. sled has a lock of its own, which tells nothing to who waits for it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::log::OpenError;

/// The lock, held until it is dropped.
pub(crate) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Closing alone would not do: a process that is just being started from here has the file open,
    /// too, until it runs its own program.
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked when the last of them closes it.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the lock of the log in `dir`.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let io = |what| move |source| OpenError::Io { what, source };
        let file = File::create(dir.join("lock")).map_err(io("create the lock of"))?;
        Self::held(file.try_lock(), file)
    }

    /// Keeps writers out of a log that is only read, which others may do as well. A log that was copied
    /// may be without the file, and none is made.
    pub(crate) fn take_existing(dir: &Path) -> Result<Option<Self>, OpenError> {
        match File::open(dir.join("lock")) {
            Ok(file) => Self::held(file.try_lock_shared(), file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OpenError::Io { what: "open the lock of", source }),
        }
    }

    fn held(locked: Result<(), TryLockError>, file: File) -> Result<Self, OpenError> {
        match locked {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { what: "lock", source }),
        }
    }
}
