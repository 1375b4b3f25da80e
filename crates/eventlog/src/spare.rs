//! The file that the next journal will lie in, written full of zeros beside the writer's work, so that no
//! append has to wait for a length to be written down. It has a name of its own until a volume begins.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// Bytes written and synced at once, so that appends meanwhile wait for no more than that.
const PIECE_BYTES: usize = 1024 * 1024;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file that is made, or was.
pub(crate) struct Spare {
    path: PathBuf,
    making: Option<JoinHandle<io::Result<File>>>,
    bytes: u64,
}

impl Spare {
    /// Begins to make a file of about this length among the volumes in `dir`.
    pub(crate) fn begin(dir: &Path, bytes: u64) -> Self {
        let path = path(dir);
        // A volume is full when a commit has reached its length.
        let bytes = (bytes + 1).next_multiple_of(PIECE_BYTES as u64);
        let at = path.clone();
        let making = std::thread::Builder::new().name("spare".into()).spawn(move || {
            make(&at, bytes).inspect_err(|_| {
                // The space may be wanted elsewhere.
                let _ = std::fs::remove_file(&at);
            })
        });
        // Without it appends are only slower.
        Self { path, making: making.ok(), bytes }
    }

    /// Whether there is, or will be, nothing to take.
    pub(crate) fn is_gone(&self) -> bool {
        self.making.is_none()
    }

    /// The file, its name and its length, if it is made by now.
    pub(crate) fn take(&mut self) -> Option<(File, PathBuf, u64)> {
        let made = self.making.take_if(|making| making.is_finished())?;
        let file = made.join().ok()?.ok()?;
        Some((file, self.path.clone(), self.bytes))
    }

    /// Leaves its space to the writer; from now on there is nothing to take.
    pub(crate) fn give_up(&mut self) {
        let Some(making) = self.making.take() else { return };
        if making.join().is_ok_and(|made| made.is_ok()) {
            // Opening the log removes it, if it cannot be now.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Removes what a crash left.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(path(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("spare")
}

fn make(path: &Path, bytes: u64) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let mut made = 0;
    while made < bytes {
        write_zeros(&file, made, made + PIECE_BYTES as u64)?;
        made += PIECE_BYTES as u64;
        file.sync_data()?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Writes zeros between two offsets.
pub(crate) fn write_zeros(file: &File, from: u64, until: u64) -> io::Result<()> {
    let mut at = from;
    while at < until {
        let piece = ZEROS.len().min(usize::try_from(until - at).unwrap_or(usize::MAX));
        file.write_all_at(&ZEROS[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}
