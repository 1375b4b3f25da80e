//! Holds bytes on their way in, one file per attempt at a track; never events. What is in a staged
//! file beyond the byte that the engine holds is cut off before more is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use domain::TrackKey;
use domain::chunk::Digest;
use domain::observation::DiskFault;

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

impl Staging {
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// The file of one attempt. Its name is made of numbers only, so nothing foreign reaches a path.
    pub(crate) fn path(&self, track: TrackKey, attempt: u16) -> PathBuf {
        self.dir.join(format!("job-{}.track-{}.attempt-{attempt}.part", track.job, track.index + 1))
    }

    /// Opens the file of an attempt to be written from `start` on, cutting off what is beyond, and
    /// reads the `overlap` bytes before it.
    pub(crate) fn continue_at(
        &self,
        track: TrackKey,
        attempt: u16,
        start: u64,
        overlap: u64,
    ) -> Result<(Staged, Vec<u8>), ContinueError> {
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
        let mut before = vec![0; usize::try_from(overlap.min(start)).unwrap_or(0)];
        file.seek(SeekFrom::Start(start - before.len() as u64)).map_err(disk)?;
        file.read_exact(&mut before).map_err(disk)?;
        Ok((Staged { file }, before))
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
}

impl Staged {
    /// Appends bytes; they survive the process when this returns.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DiskFault> {
        self.file.write_all(bytes).map_err(|error| fault(&error))
    }
}

#[cfg(test)]
mod tests {
    use domain::JobId;

    use super::*;

    const TRACK: TrackKey = TrackKey { job: JobId(1), index: 0 };

    #[test]
    fn bytes_beyond_those_held_are_cut_off_and_the_overlap_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().join("staging")).unwrap();
        let (mut staged, before) = staging.continue_at(TRACK, 0, 0, 0).unwrap();
        assert!(before.is_empty());
        staged.write(b"0123456789").unwrap();
        let (mut staged, before) = staging.continue_at(TRACK, 0, 6, 4).unwrap();
        assert_eq!(before, b"2345");
        staged.write(b"x").unwrap();
        assert_eq!(std::fs::read(staging.path(TRACK, 0)).unwrap(), b"012345x");
    }

    #[test]
    fn a_file_that_lost_bytes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().to_owned()).unwrap();
        assert!(matches!(staging.continue_at(TRACK, 0, 5, 5), Err(ContinueError::Short(0))));
    }
}
