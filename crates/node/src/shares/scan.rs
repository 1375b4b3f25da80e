//! Walks the shared folders once and makes an index of what is there. When to walk is
//! [`super::keep`]. Hidden files, names that no other user could ask for, and links that lead out of the
//! share are left out. Blocking.

use std::fs::{self, DirEntry, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use soulseek::{Attributes, Audience, Builder, SharedFile, Shares};

use super::SharedFolder;

/// How often a long walk says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What a walk met.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Files that are shared.
    pub files: u64,
    /// Files and folders whose names are not UTF-8 or have a backslash.
    pub unnameable: u64,
    /// Files and folders that could not be read.
    pub unreadable: u64,
    /// A number that is another when any file is, whatever order they came in.
    pub state: u64,
}

/// A walk under way.
pub(super) struct Walk<'a> {
    pub builder: Builder,
    /// What the last walk found; files that did not change since are not opened again.
    pub before: Option<&'a Shares>,
    /// Folders that are never shared, wherever they lie.
    pub private: &'a [PathBuf],
    pub stop: &'a AtomicBool,
    pub tally: Tally,
    told: Instant,
    began: Instant,
}

impl<'a> Walk<'a> {
    pub fn new(
        builder: Builder,
        before: Option<&'a Shares>,
        private: &'a [PathBuf],
        stop: &'a AtomicBool,
    ) -> Self {
        let (now, tally) = (Instant::now(), Tally::default());
        Self { builder, before, private, stop, tally, told: now, began: now }
    }

    /// Adds every file of a folder.
    ///
    /// # Errors
    /// When the index takes no more, or the walk was stopped.
    pub fn folder(&mut self, share: &SharedFolder) -> io::Result<()> {
        let audience = if share.buddies_only { Audience::Buddies } else { Audience::Everyone };
        let Ok(root) = share.path.canonicalize() else {
            tracing::warn!(path = %share.path.display(), "a shared folder is not there");
            self.tally.unreadable += 1;
            return Ok(());
        };
        let mut waiting = vec![(root.clone(), share.name.clone())];
        while let Some((folder, virtual_path)) = waiting.pop() {
            if self.private.contains(&folder) {
                continue;
            }
            let Ok(entries) = fs::read_dir(&folder) else {
                self.tally.unreadable += 1;
                continue;
            };
            for entry in entries {
                if self.stop.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let Ok(entry) = entry else {
                    self.tally.unreadable += 1;
                    continue;
                };
                let name = entry.file_name();
                if name.as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                // Another user asks by the name we told, and only such a name leads back to the file.
                let Some(name) = name.to_str().filter(|name| !name.contains('\\')) else {
                    self.tally.unnameable += 1;
                    continue;
                };
                let virtual_path = format!("{virtual_path}\\{name}");
                match found(&entry, &root) {
                    Ok(Found::Folder) => waiting.push((entry.path(), virtual_path)),
                    Ok(Found::File(about)) => {
                        self.file(virtual_path, entry.path(), &about, audience)?;
                    }
                    Ok(Found::Neither) => {}
                    Err(_) => self.tally.unreadable += 1,
                }
            }
            if self.told.elapsed() >= TELL_EVERY {
                self.told = Instant::now();
                let (files, folders_left) = (self.tally.files, waiting.len());
                let seconds = self.began.elapsed().as_secs();
                tracing::info!(share = share.name, files, folders_left, seconds, "scanning");
            }
        }
        Ok(())
    }

    /// Adds one file, with what was known of it if it is as it was.
    pub fn file(
        &mut self,
        virtual_path: String,
        local_path: PathBuf,
        about: &Metadata,
        audience: Audience,
    ) -> io::Result<()> {
        let modified = (about.mtime() as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(about.mtime_nsec() as u64);
        let size = about.len();
        let known = self.before.and_then(|before| before.known(&virtual_path));
        let attributes = match known {
            Some((file, then)) if then == modified && file.size == size => file.attributes,
            _ => attributes(&local_path),
        };
        let mut state = DefaultHasher::new();
        (&virtual_path, &local_path, size, modified, audience == Audience::Buddies)
            .hash(&mut state);
        self.tally.state = self.tally.state.wrapping_add(state.finish());
        self.tally.files += 1;
        self.builder.add(
            &SharedFile { virtual_path, local_path, size, attributes },
            modified,
            audience,
        )
    }
}

enum Found {
    File(Metadata),
    Folder,
    Neither,
}

/// What an entry is. A link to a file is that file, if it lies in the share; one to a folder is nothing,
/// because what lies in the share is met anyway.
fn found(entry: &DirEntry, root: &Path) -> io::Result<Found> {
    let kind = entry.file_type()?;
    if kind.is_dir() {
        return Ok(Found::Folder);
    }
    if kind.is_file() {
        return entry.metadata().map(Found::File);
    }
    if kind.is_symlink() {
        let target = entry.path().canonicalize()?;
        let about = fs::metadata(&target)?;
        if about.is_file() && target.starts_with(root) && !hidden(&target, root) {
            return Ok(Found::File(about));
        }
    }
    Ok(Found::Neither)
}

fn hidden(target: &Path, root: &Path) -> bool {
    let below = target.strip_prefix(root).unwrap_or(target);
    below.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

fn attributes(path: &Path) -> Attributes {
    let Some(said) = audio::properties(path) else { return Attributes::default() };
    // Lossless files are told of by rate and depth, others by bit rate. SOULSEEK.md 2.4.
    let lossless = said.bit_depth.is_some();
    Attributes {
        bitrate_kbps: said.bitrate_kbps.filter(|_| !lossless),
        duration_s: said.duration_s,
        vbr: None,
        sample_rate_hz: said.sample_rate_hz.filter(|_| lossless),
        bit_depth: said.bit_depth,
    }
}
