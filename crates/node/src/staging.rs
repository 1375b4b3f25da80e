//! Holds bytes on their way in, one file per attempt at a track; never events. What is in a staged
//! file beyond the byte that the engine holds is cut off before more is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use domain::chunk::Digest;
use domain::observation::DiskFault;
use domain::{ByteRange, TrackKey};

/// Bytes left free on a disk for everybody else who writes there. The event log is one of them: it
/// stands beside staging, and a node that cannot record has to stop.
pub(crate) const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// The staging folder.
#[derive(Debug, Clone)]
pub(crate) struct Staging {
    dir: PathBuf,
}

/// Why a staged file cannot be continued.
#[derive(Debug)]
pub(crate) enum ContinueError {
    /// It is shorter than the engine remembers; its length in bytes.
    Short(u64),
    /// The disk.
    Disk(DiskFault),
}

/// What the disk's refusal is to the engine.
pub(crate) fn fault(error: &io::Error) -> DiskFault {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskFault::Full,
        _ => DiskFault::Other(error.to_string()),
    }
}

/// Whether the disk of a folder takes so many bytes more and still has its reserve.
pub(crate) fn room(folder: &Path, bytes: u64) -> Result<(), DiskFault> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| fault(&error.into()))?;
    // Some file systems do not count blocks; there a write has to show whether there is room.
    if disk.f_blocks == 0 {
        return Ok(());
    }
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < bytes.saturating_add(RESERVE_BYTES) { Err(DiskFault::Full) } else { Ok(()) }
}

impl Staging {
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// The file of one attempt. Its name is made of numbers only, so nothing foreign reaches a path.
    pub(crate) fn path(&self, track: TrackKey, attempt: u16) -> PathBuf {
        self.dir.join(format!("job-{}.track-{}.attempt-{attempt}.part", track.job, track.index + 1))
    }

    /// Opens the file of an attempt to be written from the start of `range` on, cutting off what is
    /// beyond, and reads the `overlap` bytes before it. Refused when the range would not fit.
    pub(crate) fn continue_at(
        &self,
        track: TrackKey,
        attempt: u16,
        range: ByteRange,
        overlap: u64,
    ) -> Result<(Staged, Vec<u8>), ContinueError> {
        let start = range.start;
        let disk = |error: io::Error| ContinueError::Disk(fault(&error));
        let path = self.path(track, attempt);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(disk)?;
        let length = file.metadata().map_err(disk)?.len();
        if length < start {
            return Err(ContinueError::Short(length));
        }
        if length > start {
            file.set_len(start).map_err(disk)?;
        }
        room(&self.dir, range.len()).map_err(ContinueError::Disk)?;
        let mut before = vec![0; usize::try_from(overlap.min(start)).unwrap_or(0)];
        file.seek(SeekFrom::Start(start - before.len() as u64)).map_err(disk)?;
        file.read_exact(&mut before).map_err(disk)?;
        Ok((Staged { file, dir: self.dir.clone() }, before))
    }

    /// BLAKE3 and size of a staged file; `None` when it is not there.
    pub(crate) fn digest(
        &self,
        track: TrackKey,
        attempt: u16,
    ) -> io::Result<Option<(Digest, u64)>> {
        match digest(&self.path(track, attempt)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes the file of an attempt; it may be gone already.
    pub(crate) fn discard(&self, track: TrackKey, attempt: u16) -> io::Result<()> {
        match std::fs::remove_file(self.path(track, attempt)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// BLAKE3 and size in bytes of a file.
pub(crate) fn digest(path: &Path) -> io::Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let size = io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok((Digest(*hasher.finalize().as_bytes()), size))
}

/// A staged file open for writing at its end.
#[derive(Debug)]
pub(crate) struct Staged {
    file: File,
    dir: PathBuf,
}

impl Staged {
    /// Appends bytes; they survive the process when this returns.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DiskFault> {
        // Many files grow at once, and each was begun when there was room for it alone.
        room(&self.dir, bytes.len() as u64)?;
        self.file.write_all(bytes).map_err(|error| fault(&error))
    }
}

#[cfg(test)]
mod tests {
    use domain::JobId;

    use super::*;

    const TRACK: TrackKey = TrackKey { job: JobId(1), index: 0 };

    fn from(start: u64) -> ByteRange {
        ByteRange { start, end: 10 }
    }

    #[test]
    fn bytes_beyond_those_held_are_cut_off_and_the_overlap_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().join("staging")).unwrap();
        let (mut staged, before) = staging.continue_at(TRACK, 0, from(0), 0).unwrap();
        assert!(before.is_empty());
        staged.write(b"0123456789").unwrap();
        let (mut staged, before) = staging.continue_at(TRACK, 0, from(6), 4).unwrap();
        assert_eq!(before, b"2345");
        staged.write(b"x").unwrap();
        assert_eq!(std::fs::read(staging.path(TRACK, 0)).unwrap(), b"012345x");
    }

    #[test]
    fn a_file_that_lost_bytes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().to_owned()).unwrap();
        assert!(matches!(staging.continue_at(TRACK, 0, from(5), 5), Err(ContinueError::Short(0))));
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_before_its_first_byte() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().to_owned()).unwrap();
        let whole = ByteRange { start: 0, end: u64::MAX };
        let refused = staging.continue_at(TRACK, 0, whole, 0);
        assert!(matches!(refused, Err(ContinueError::Disk(DiskFault::Full))), "{refused:?}");
        // What is free now does not fit either: the reserve is not for music.
        let disk = rustix::fs::statvfs(dir.path()).unwrap();
        let free = disk.f_bavail * disk.f_frsize;
        assert_eq!(room(dir.path(), free.saturating_sub(RESERVE_BYTES / 2)), Err(DiskFault::Full));
    }
}
