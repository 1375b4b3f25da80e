//! What we share: an immutable index, found by words or by exact virtual path.
//!
//! The index lies in one file, or in memory in the same form, and is read with positioned reads; how
//! it is laid out says [`store`], how it is made [`build`]. Finding files is [`search`], telling of
//! whole folders [`list`]. Nothing here walks the disk. A request names a virtual path, and only a
//! path that is in the index leads to a file; so `..` in a request is simply a name nobody shares.

mod build;
mod bytes;
mod list;
mod postings;
mod record;
mod search;
mod sort;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use build::{Audience, Builder};
pub(crate) use list::StoredList;
pub use search::Found;
use store::Index;
pub use store::OpenError;

use crate::attributes::Attributes;
use crate::wire::peer::{FileEntry, FolderEntry};

/// One file others may fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFile {
    /// Path as others see it, with `\` between its parts; the first part is the share's name.
    pub virtual_path: String,
    /// Where it lies here; never told to anyone.
    pub local_path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// What is known about the sound.
    pub attributes: Attributes,
}

/// A snapshot of everything shared, and who may see all of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shares {
    index: Arc<Index>,
    buddies: Arc<HashSet<String>>,
}

impl Default for Shares {
    fn default() -> Shares {
        Shares::new([])
    }
}

impl Shares {
    /// Indexes `files` in memory, for everyone. Of two with one virtual path the later one is kept.
    pub fn new(files: impl IntoIterator<Item = SharedFile>) -> Shares {
        let mut builder = Builder::in_memory();
        for file in files {
            builder.add(&file, 0, Audience::Everyone).expect("memory takes every byte");
        }
        builder.finish_in_memory().expect("memory gives back what it took")
    }

    /// Opens an index that [`Builder::finish`] wrote. All of it is read once and checked.
    ///
    /// # Errors
    /// When it is damaged, of another version or no index at all; then it is built anew.
    pub fn open(path: &Path) -> Result<Shares, OpenError> {
        Index::open(path).map(Shares::of)
    }

    fn of(index: Index) -> Shares {
        Shares { index: Arc::new(index), buddies: Arc::default() }
    }

    /// The same, where these users see and fetch what is for buddies only, too.
    #[must_use]
    pub fn with_buddies(self, names: impl IntoIterator<Item = String>) -> Shares {
        Shares { buddies: Arc::new(names.into_iter().collect()), ..self }
    }

    /// Number of files that everyone may fetch.
    pub fn file_count(&self) -> u64 {
        self.index.public_files
    }

    /// Number of files that buddies may fetch and others may not.
    pub fn private_file_count(&self) -> u64 {
        self.index.files.count() - self.index.public_files
    }

    /// Number of folders that hold at least one file for everyone.
    pub fn folder_count(&self) -> u64 {
        self.index.public_folders
    }

    /// The file with exactly this virtual path, if everyone may fetch it.
    pub fn get(&self, virtual_path: &str) -> Option<SharedFile> {
        self.look_up(virtual_path)
            .filter(|(_, _, audience)| *audience == Audience::Everyone)
            .map(|(file, ..)| file)
    }

    /// The file with exactly this virtual path, if this user may fetch it.
    pub fn get_for(&self, user: &str, virtual_path: &str) -> Option<SharedFile> {
        self.look_up(virtual_path)
            .filter(|(_, _, audience)| *audience == Audience::Everyone || self.is_buddy(user))
            .map(|(file, ..)| file)
    }

    /// The file with exactly this virtual path, and when it was changed last as the builder was told.
    pub fn known(&self, virtual_path: &str) -> Option<(SharedFile, u64)> {
        self.look_up(virtual_path).map(|(file, modified, _)| (file, modified))
    }

    fn look_up(&self, virtual_path: &str) -> Option<(SharedFile, u64, Audience)> {
        told(self.index.look_up(virtual_path)).flatten()
    }

    /// Finds at most `limit` files whose path has every word of `query`, none of its `-words`,
    /// and contains none of the `excluded` phrases. SOULSEEK.md 2.7. Those for buddies only are
    /// found for buddies only.
    pub fn search(&self, user: &str, query: &str, excluded: &[String], limit: usize) -> Vec<Found> {
        let found = search::find(&self.index, query, excluded, limit, self.is_buddy(user));
        told(found).unwrap_or_default()
    }

    /// Everything this user may see, as the compressed body of message 5.
    pub(crate) fn list_for(&self, user: &str) -> StoredList {
        StoredList::new(Arc::clone(&self.index), self.is_buddy(user))
    }

    /// One folder and those below it, as message 37 tells them, those with many files cut off.
    pub(crate) fn folder_for(&self, user: &str, path: &str) -> Vec<FolderEntry> {
        told(list::folder(&self.index, path, self.is_buddy(user))).unwrap_or_default()
    }

    fn is_buddy(&self, user: &str) -> bool {
        self.buddies.contains(user)
    }
}

/// An index was whole when it was opened, so what cannot be read now is the disk's fault. Who asked
/// hears that there is nothing.
fn told<T>(read: io::Result<T>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(%error, "the index of shares cannot be read")).ok()
}

impl SharedFile {
    /// Tells of this file under `name`: its whole path or its last part.
    pub(crate) fn entry(&self, name: &str) -> FileEntry {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        FileEntry {
            mark: 1,
            name: name.to_owned(),
            size: self.size,
            // One client shows attributes only beside a known extension. SOULSEEK.md 2.4.
            extension: extension.to_lowercase(),
            attributes: self.attributes.to_wire(),
        }
    }
}
