//! Copies of a log: taken while it is written, read where they lie, and put back. A copy is a log whose
//! volumes are all sealed, so it is a folder like any log's and holds nothing that changes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use domain::Seq;

use crate::active::sync_folder;
use crate::log::{Log, OpenError};
use crate::mark::{self, Mark};
use crate::reader::{ReadError, Reader};
use crate::sealed::{self, SealError};
use crate::streams::Streams;
use crate::volumes::sealed_name;

/// The folder of the volumes, in a copy as in a log.
const VOLUMES: &str = "volumes";

/// The name of the mark, in a copy as in a log.
const MARK: &str = "mark";

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder is not empty.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// The copy cannot be written.
    #[error("the copy cannot be written")]
    Write(#[from] io::Error),
}

impl From<SealError> for BackupError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Read(error) => Self::Read(error),
            SealError::Io(error) => Self::Write(error),
        }
    }
}

/// Copies everything that is durable now to the empty or absent folder `to`, and the last event of the
/// copy. Every block is checked on the way, so a copy is whole or is not made. The writer goes on.
///
/// # Errors
/// When the log is damaged, or the copy cannot be written. What was written by then has no mark and is
/// no copy.
pub fn backup(reader: &Reader, to: &Path) -> Result<Seq, BackupError> {
    let into = Folder::begin(to)?;
    let last = each_file(reader, |name, bytes| into.add(name, bytes))?;
    into.finish()?;
    Ok(last)
}

/// Tells the files of a copy one after another, each by its path below the copy's folder, and the last
/// event of the copy. A volume is told whole, so of 64 MiB at most.
///
/// # Errors
/// As [`backup`].
pub fn each_file(
    reader: &Reader,
    mut file: impl FnMut(&str, &[u8]) -> io::Result<()>,
) -> Result<Seq, BackupError> {
    let durable = reader.durable();
    let mut streams = Streams::default();
    let mut head = reader.identity().chain_start();
    let mut blocks = reader.blocks(durable).peekable();
    let starts: Vec<_> = reader.volumes().iter().map(|volume| volume.start()).collect();
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).map_or(Seq(u64::MAX), |next| next.first);
        let mut copied = Vec::new();
        // A volume is small enough to be held, and the streams at its end stand in its tail.
        while let Some(block) = blocks.next_if(|block| match block {
            Ok(block) => block.first() < end,
            Err(_) => true,
        }) {
            let block = block?;
            streams
                .follow_block(&block)
                .map_err(|(seq, damage)| ReadError::Damaged { seq, damage })?;
            copied.push(block);
        }
        let Some(last) = copied.last() else { continue };
        head = last.hash();
        let mut volume = Vec::new();
        sealed::write_to(&mut volume, *start, copied.into_iter().map(Ok), &streams)?;
        file(&format!("{VOLUMES}/{}", sealed_name(start.first)), &volume)?;
    }
    // Last, as the proof that all of the above is there.
    file(MARK, &mark::encode(durable, &head))?;
    Ok(durable)
}

/// A copy that is being written.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Begins a copy in the empty or absent folder `path`.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`], or when the folder cannot be made.
    pub fn begin(path: &Path) -> Result<Self, BackupError> {
        let is_empty = |dir: &Path| fs::read_dir(dir).map(|mut entries| entries.next().is_none());
        if path.exists() && !is_empty(path)? {
            return Err(BackupError::NotEmpty(path.to_owned()));
        }
        fs::create_dir_all(path.join(VOLUMES))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Adds a file as [`each_file`] told it, and makes it durable.
    ///
    /// # Errors
    /// When it cannot be written, or a copy has no file of that name.
    pub fn add(&self, name: &str, mut bytes: impl Read) -> io::Result<()> {
        if !is_of_a_copy(name) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a copy has no file {name:?}"),
            ));
        }
        let mut file = File::create_new(self.path.join(name))?;
        io::copy(&mut bytes, &mut file)?;
        file.sync_all()
    }

    /// Makes the names durable, too.
    ///
    /// # Errors
    /// When that fails.
    pub fn finish(self) -> Result<(), BackupError> {
        sync_folder(&self.path.join(VOLUMES))?;
        sync_folder(&self.path)?;
        if let Some(parent) = self.path.canonicalize()?.parent() {
            sync_folder(parent)?;
        }
        Ok(())
    }
}

/// Whether a path is one that [`each_file`] tells. Nothing else is written where a stranger sends it.
fn is_of_a_copy(name: &str) -> bool {
    let volume = || name.strip_prefix(VOLUMES)?.strip_prefix('/')?.strip_suffix(".vol");
    let is_number = |text: &str| text.len() == 20 && text.bytes().all(|it| it.is_ascii_digit());
    name == MARK || volume().is_some_and(is_number)
}

/// Opens a copy: it is whole, or it is refused.
///
/// # Errors
/// When it was never finished, or cannot be read.
pub fn open(copy: &Path) -> Result<Reader, RestoreError> {
    let reader = Log::read(copy)?;
    // The mark is made last, so a copy that was cut off has none.
    if Mark::peek(copy).is_none_or(|(last, _)| last != reader.durable()) {
        return Err(RestoreError::NotWhole);
    }
    Ok(reader)
}

/// Puts a copy back as a log in the empty or absent folder `to`; its last event.
///
/// # Errors
/// When the copy is not whole, or the log cannot be written.
pub fn restore(from: &Path, to: &Path) -> Result<Seq, RestoreError> {
    Ok(backup(&open(from)?, to)?)
}

/// Why a copy was not put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The copy cannot be read.
    #[error("the copy cannot be read")]
    Open(#[from] OpenError),
    /// The copy was never finished.
    #[error("the copy is not whole")]
    NotWhole,
    /// The log cannot be written.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_files_of_a_copy_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let copy = Folder::begin(&dir.path().join("copy")).unwrap();
        let volume = "volumes/00000000000000000001.vol";
        for name in [
            "",
            "lock",
            "../mark",
            "/mark",
            "./mark",
            "volumes",
            "volumes/",
            "volumes/../mark",
            "volumes/1.vol",
            "volumes/00000000000000000001.wal",
            "volumes//00000000000000000001.vol",
            "volumes/+0000000000000000001.vol",
            "Volumes/00000000000000000001.vol",
        ] {
            let error = copy.add(name, &b"x"[..]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
        }
        copy.add(volume, &b"x"[..]).unwrap();
        let again = copy.add(volume, &b"y"[..]).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
