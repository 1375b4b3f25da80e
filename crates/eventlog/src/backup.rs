//! Copies of a log: taken while it is written, read where they lie, and put back. A copy is a log whose
//! volumes are all sealed, so it is a folder like any log's and holds nothing that changes.

use std::path::{Path, PathBuf};

use domain::Seq;

use crate::active::sync_folder;
use crate::log::{Log, OpenError};
use crate::mark::Mark;
use crate::reader::{ReadError, Reader};
use crate::sealed::{self, SealError};
use crate::streams::Streams;
use crate::volumes::sealed_name;

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
    Write(#[from] std::io::Error),
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
    let is_empty = |dir: &Path| std::fs::read_dir(dir).map(|mut entries| entries.next().is_none());
    if to.exists() && !is_empty(to)? {
        return Err(BackupError::NotEmpty(to.to_owned()));
    }
    let volumes = to.join("volumes");
    std::fs::create_dir_all(&volumes)?;
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
        let path = volumes.join(sealed_name(start.first));
        sealed::write(&path, *start, copied.into_iter().map(Ok), &streams)?;
    }
    // Last, as the proof that all of the above is there.
    let mark = Mark::open(to)?;
    mark.set(durable, &head)?;
    mark.sync()?;
    sync_folder(to)?;
    if let Some(parent) = to.canonicalize()?.parent() {
        sync_folder(parent)?;
    }
    Ok(durable)
}

/// Puts a copy back as a log in the empty or absent folder `to`; its last event.
///
/// # Errors
/// When the copy is not whole, or the log cannot be written.
pub fn restore(from: &Path, to: &Path) -> Result<Seq, RestoreError> {
    let copy = Log::read(from)?;
    // The mark is made last, so a copy that was cut off has none.
    if Mark::peek(from).is_none_or(|(last, _)| last != copy.durable()) {
        return Err(RestoreError::NotWhole);
    }
    Ok(backup(&copy, to)?)
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
