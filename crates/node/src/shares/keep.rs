//! Keeps the index of shares up to date: opens the one of the last run, then walks the folders again
//! and again. How a walk goes is [`super::scan`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use soulseek::{Audience, Builder, OpenError, Shares};
use tokio::time::{Instant, sleep};

use super::Shelf;
use super::scan::{Tally, Walk};

/// Folders are looked through this often, because not every disk says when something changed.
const EVERY: Duration = Duration::from_secs(15 * 60);
/// What is published is waited for, so that an album makes one scan.
const SETTLE: Duration = Duration::from_secs(10);
/// A scan is followed by a rest of so many times its length, so that it takes a twentieth at most.
const REST: u32 = 20;

/// Keeps the index in `data/shares` until aborted. Ends at once where no folder is shared.
pub(crate) async fn keep(shelf: Shelf, data: PathBuf) {
    if shelf.sharing.folders.is_empty() {
        return;
    }
    let mut additions = shelf.additions.subscribe();
    let mut known = None;
    loop {
        let began = Instant::now();
        additions.mark_unchanged();
        let stop = StopOnDrop::default();
        let (stopped, scanned, data) = (Arc::clone(&stop.0), shelf.clone(), data.clone());
        let scanning = tokio::task::spawn_blocking(move || scan(&scanned, &data, known, &stopped));
        match scanning.await {
            Ok(Ok(state)) => known = Some(state),
            Ok(Err(error)) => tracing::warn!(%error, "the shares were not scanned"),
            Err(error) => tracing::error!(%error, "the scan broke"),
        }
        sleep(began.elapsed() * REST).await;
        tokio::select! {
            () = sleep(EVERY) => {}
            Ok(()) = additions.changed() => sleep(SETTLE).await,
        }
    }
}

/// Ends the walk when nobody waits for it any more; a thread cannot be aborted.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Walks once. What was found is put onto the shelf, unless it is what `known` stands for.
fn scan(shelf: &Shelf, data: &Path, known: Option<u64>, stop: &AtomicBool) -> io::Result<u64> {
    let folder = data.join("shares");
    fs::create_dir_all(&folder)?;
    let path = folder.join("index");
    let before = match Shares::open(&path) {
        Ok(before) => Some(before),
        Err(OpenError::Read(error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, "the index of shares is made anew");
            None
        }
    };
    if let (None, Some(before)) = (known, &before) {
        // Better what was there yesterday than nothing while the disks are walked.
        shelf.scanned(before.clone());
    }
    let private: Vec<PathBuf> = data.canonicalize().into_iter().collect();
    let mut walk = Walk::new(Builder::new(&folder), before.as_ref(), &private, stop);
    for file in shelf.published() {
        if let Ok(about) = fs::metadata(&file.local_path) {
            walk.file(file.virtual_path, file.local_path, &about, Audience::Everyone)?;
        }
    }
    for share in &shelf.sharing.folders {
        walk.folder(share)?;
    }
    let Walk { builder, tally, .. } = walk;
    let Tally { files, unnameable, unreadable, state } = tally;
    if known == Some(state) {
        tracing::debug!(files, "nothing changed among the shares");
        return Ok(state);
    }
    shelf.scanned(builder.finish(&path)?);
    tracing::info!(files, unnameable, unreadable, "shares scanned");
    Ok(state)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use soulseek::{Attributes, SharedFile};

    use super::super::{SharedFolder, Sharing};
    use super::*;

    static GO: AtomicBool = AtomicBool::new(false);

    struct Home {
        dir: tempfile::TempDir,
        shelf: Shelf,
    }

    impl Home {
        fn new() -> Home {
            let dir = tempfile::tempdir().unwrap();
            let put = |path: &str| {
                let path = dir.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "song").unwrap();
            };
            for path in [
                "open/Album/1 One.flac",
                "open/Album/.hidden.flac",
                "open/.secret/2.flac",
                "open/back\\slash.flac",
                "closed/3 Three.flac",
                "outside/4.flac",
                "music/Artist/5 Five.flac",
                "open/data/log/6.flac",
            ] {
                put(path);
            }
            let at = |path: &str| dir.path().join(path);
            fs::write(at("open").join(OsStr::from_bytes(b"7 \xff.flac")), "song").unwrap();
            symlink(at("outside/4.flac"), at("open/out.flac")).unwrap();
            symlink(at("outside"), at("open/out")).unwrap();
            symlink(at("open"), at("open/round")).unwrap();
            symlink(at("open/.secret/2.flac"), at("open/told.flac")).unwrap();
            symlink("Album/1 One.flac", at("open/in.flac")).unwrap();
            let folder = |path: &str, name: &str, buddies_only| SharedFolder {
                path: at(path),
                name: name.to_owned(),
                buddies_only,
            };
            let sharing = Sharing {
                folders: vec![folder("open", "Open", false), folder("closed", "Closed", true)],
                buddies: vec!["bo".to_owned()],
            };
            let shelf = Shelf::new(&at("music"), sharing);
            shelf.add("Artist/5 Five.flac");
            Home { dir, shelf }
        }

        fn scan(&self, known: Option<u64>) -> u64 {
            scan(&self.shelf, &self.dir.path().join("open/data"), known, &GO).unwrap()
        }

        fn found(&self, user: &str) -> Vec<String> {
            let found = self.shelf.shares().search(user, "flac", &[], 100);
            found.into_iter().map(|found| found.file.virtual_path).collect()
        }
    }

    #[test]
    fn what_may_be_shared_is_and_nothing_else() {
        let home = Home::new();
        home.scan(None);
        let public = [r"Music\Artist\5 Five.flac", r"Open\in.flac", r"Open\Album\1 One.flac"];
        assert_eq!(home.found("ada"), public);
        assert_eq!(home.found("bo"), [&[r"Closed\3 Three.flac"], &public[..]].concat());
        let local = home.shelf.shares().get(r"Open\Album\1 One.flac").unwrap().local_path;
        assert_eq!(fs::read(local).unwrap(), b"song");
    }

    #[test]
    fn a_scan_tells_what_it_left_out() {
        let home = Home::new();
        let builder = Builder::new(home.dir.path());
        let mut walk = Walk::new(builder, None, &[], &GO);
        walk.folder(&home.shelf.sharing.folders[0]).unwrap();
        assert_eq!((walk.tally.files, walk.tally.unnameable), (3, 2));
    }

    #[test]
    fn only_a_change_makes_another_index() {
        let home = Home::new();
        let mut changes = home.shelf.changes();
        let state = home.scan(None);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert_eq!(home.scan(Some(state)), state);
        assert!(!changes.has_changed().unwrap());

        fs::rename(home.dir.path().join("outside/4.flac"), home.dir.path().join("open/4.flac"))
            .unwrap();
        fs::remove_file(home.dir.path().join("closed/3 Three.flac")).unwrap();
        assert_ne!(home.scan(Some(state)), state);
        assert!(changes.has_changed().unwrap());
        assert!(home.found("bo").contains(&r"Open\4.flac".to_owned()));
        assert!(!home.found("bo").contains(&r"Closed\3 Three.flac".to_owned()));
    }

    #[test]
    fn a_file_that_did_not_change_is_not_opened_again() {
        let home = Home::new();
        home.scan(None);
        let (path, virtual_path) =
            (home.dir.path().join("open/data/shares/index"), r"Open\Album\1 One.flac");
        let (file, modified) = home.shelf.shares().known(virtual_path).unwrap();
        let attributes = Attributes { duration_s: Some(77), ..Attributes::default() };
        let told = |size| {
            let mut builder = Builder::new(home.dir.path());
            let file = SharedFile { attributes, size, ..file.clone() };
            builder.add(&file, modified, Audience::Everyone).unwrap();
            builder.finish(&path).unwrap();
            home.scan(None);
            home.shelf.shares().get(virtual_path).unwrap().attributes.duration_s
        };
        assert_eq!(told(file.size), Some(77));
        assert_eq!(told(file.size + 1), None, "it has another size now");
    }

    #[test]
    fn a_damaged_index_is_made_anew_and_a_stopped_walk_changes_nothing() {
        let home = Home::new();
        home.scan(None);
        let path = home.dir.path().join("open/data/shares/index");
        fs::write(&path, "something else").unwrap();
        let stopped = AtomicBool::new(true);
        let data = home.dir.path().join("open/data");
        assert!(scan(&home.shelf, &data, None, &stopped).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"something else");
        home.scan(None);
        assert_eq!(Shares::open(&path).unwrap().file_count(), 3);
    }
}
