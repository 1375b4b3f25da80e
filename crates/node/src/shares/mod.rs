//! What we offer to others: the files that were published, each under its place in the music folder,
//! and the folders a person names. No path of this machine is told. Folders are walked by [`scan`], in
//! the background and again and again ([`keep`]); the index itself is [`soulseek::Shares`].

pub(crate) mod keep;
mod scan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use soulseek::{Attributes, SharedFile, Shares};
use tokio::sync::watch;

/// The first part of every published path; no folder may be named so.
pub(crate) const VIRTUAL_FOLDER: &str = "Music";

/// What is shared beside what is published.
#[derive(Debug, Clone, Default)]
pub struct Sharing {
    /// Folders, under names that differ from each other and from `Music`.
    pub folders: Vec<SharedFolder>,
    /// Users who may see and fetch what is for buddies only.
    pub buddies: Vec<String>,
}

/// A folder that is shared with all that is in it.
#[derive(Debug, Clone)]
pub struct SharedFolder {
    /// Where it is.
    pub path: PathBuf,
    /// The first part of its files' virtual paths.
    pub name: String,
    /// Whether only buddies may see it.
    pub buddies_only: bool,
}

/// Everything that is shared. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    music: PathBuf,
    sharing: Arc<Sharing>,
    published: Arc<Mutex<BTreeMap<String, SharedFile>>>,
    /// What the last scan found; nothing where there are no folders.
    scanned: Arc<Mutex<Option<Shares>>>,
    additions: Arc<watch::Sender<u64>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Shelf {
    pub(crate) fn new(music: &Path, sharing: Sharing) -> Self {
        Self {
            music: music.to_owned(),
            sharing: Arc::new(sharing),
            published: Arc::default(),
            scanned: Arc::default(),
            additions: Arc::new(watch::channel(0).0),
            changed: Arc::new(watch::channel(0).0),
        }
    }

    /// Offers a published file. One that was moved or deleted by its owner is left out.
    pub(crate) fn add(&self, path: &str) {
        let local_path = self.music.join(path);
        let Ok(found) = std::fs::metadata(&local_path) else {
            tracing::info!(path, "a published file is gone and not shared");
            return;
        };
        let file = SharedFile {
            virtual_path: format!("{VIRTUAL_FOLDER}\\{}", path.replace('/', "\\")),
            local_path,
            size: found.len(),
            attributes: Attributes::default(),
        };
        self.published.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), file);
        if self.sharing.folders.is_empty() {
            self.changed.send_modify(|count| *count += 1);
        } else {
            self.additions.send_modify(|count| *count += 1);
        }
    }

    /// The shared set as it is now; where folders are shared, as the last scan found it.
    pub(crate) fn shares(&self) -> Shares {
        let scanned = self.scanned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shares = match scanned {
            Some(scanned) => scanned,
            None => Shares::new(self.published()),
        };
        shares.with_buddies(self.sharing.buddies.iter().cloned())
    }

    /// Wakes whoever tells others what is shared.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn published(&self) -> Vec<SharedFile> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.values().cloned().collect()
    }

    fn scanned(&self, shares: Shares) {
        *self.scanned.lock().unwrap_or_else(PoisonError::into_inner) = Some(shares);
        self.changed.send_modify(|count| *count += 1);
    }
}
