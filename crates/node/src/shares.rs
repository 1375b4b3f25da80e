//! What we offer to others: the files that were published. Each is shared under its place in the
//! music folder, below one virtual folder, so no path of this machine is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use soulseek::{Attributes, SharedFile, Shares};
use tokio::sync::watch;

/// The first part of every shared path.
const VIRTUAL_FOLDER: &str = "Music";

/// The shared files, by their place in the music folder. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    music: PathBuf,
    files: Arc<Mutex<BTreeMap<String, SharedFile>>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Shelf {
    pub(crate) fn new(music: &Path) -> Self {
        Self {
            music: music.to_owned(),
            files: Arc::default(),
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
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), file);
        self.changed.send_modify(|count| *count += 1);
    }

    /// The shared set as it is now.
    pub(crate) fn shares(&self) -> Shares {
        Shares::new(self.files.lock().unwrap_or_else(PoisonError::into_inner).values().cloned())
    }

    /// Wakes whoever tells others what is shared.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
