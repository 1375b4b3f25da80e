//! Whole folders: the compressed body of message 5, made once for everyone and once for buddies and
//! kept in the index, and what message 37 tells of one folder. SOULSEEK.md 2.4.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::build::Audience;
use super::record::{Record, below_key, folder_key, peek_audience, virtual_path};
use super::store::{Index, Out, Section, Store};
use super::table::{Place, Scan, Table};
use super::words::split;
use crate::wire::pack::Field;
use crate::wire::peer::{FileEntry, FolderEntry};

/// Files and folders told of at once for one folder; whoever wants everything asks for the list.
const FOLDER_KEPT: usize = 20_000;
/// Bytes of a list read at a time while it is sent.
const STEP: u64 = 256 << 10;

/// How many files and folders there are, for everyone and for buddies.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub files: [u64; 2],
    pub folders: [u32; 2],
    /// The folder that was counted last.
    last: [Option<String>; 2],
}

impl Counted {
    /// Files come sorted, so those of a folder follow each other.
    pub fn count(&mut self, folder: &str, audience: Audience) {
        let at = usize::from(audience == Audience::Buddies);
        self.files[at] += 1;
        if self.last[at].as_deref() != Some(folder) {
            self.folders[at] += 1;
            self.last[at] = Some(folder.to_owned());
        }
    }
}

/// Writes both lists, or one that serves for both when nothing is private.
pub(super) fn write(
    out: &mut Out,
    files: Place,
    roots: &[Vec<u8>],
    counted: &Counted,
) -> io::Result<[Section; 2]> {
    let store = out.so_far()?;
    let files = Table::open(&store, files)?;
    let mut write = |private: bool| -> io::Result<Section> {
        let at = out.at();
        let mut packed = ZlibEncoder::new(&mut *out, Compression::default());
        folders(&mut packed, &files, &store, roots, Audience::Everyone, counted.folders[0])?;
        packed.write_all(&0u32.to_le_bytes())?;
        let count = if private { counted.folders[1] } else { 0 };
        folders(&mut packed, &files, &store, roots, Audience::Buddies, count)?;
        packed.finish()?;
        Ok(Section { at, length: out.at() - at })
    };
    let public = write(false)?;
    let buddies = if counted.folders[1] == 0 { public } else { write(true)? };
    Ok([public, buddies])
}

/// Writes the folders that have files for this audience, `count` of them.
fn folders(
    packed: &mut impl Write,
    files: &Table,
    store: &Store,
    roots: &[Vec<u8>],
    audience: Audience,
    count: u32,
) -> io::Result<()> {
    packed.write_all(&count.to_le_bytes())?;
    if count == 0 {
        return Ok(());
    }
    let mut folder: Option<String> = None;
    let (mut held, mut entries) = (0u32, Vec::new());
    let mut scan = files.from(store, &[])?;
    loop {
        let more = scan.advance(files, store)?;
        if more && peek_audience(scan.value()) != audience {
            continue;
        }
        let path = if more { Some(virtual_path(scan.key())?) } else { None };
        let next = path.as_deref().map(|path| split(path).0);
        if let Some(done) = folder.as_deref()
            && next != Some(done)
        {
            let mut head = Vec::new();
            done.to_owned().write(&mut head);
            held.write(&mut head);
            packed.write_all(&head)?;
            packed.write_all(&entries)?;
            (held, folder) = (0, None);
            entries.clear();
        }
        let Some(path) = path else { return Ok(()) };
        folder.get_or_insert_with(|| split(&path).0.to_owned());
        entry(&scan, &path, roots)?.write(&mut entries);
        held += 1;
    }
}

fn entry(scan: &Scan, path: &str, roots: &[Vec<u8>]) -> io::Result<FileEntry> {
    let record = Record::read(scan.value(), path, roots)?;
    let (_, name) = split(path);
    Ok(record.into_file(path.to_owned()).entry(name))
}

/// One folder and those below it.
pub(super) fn folder(index: &Index, path: &str, buddy: bool) -> io::Result<Vec<FolderEntry>> {
    let mut folders: Vec<FolderEntry> = Vec::new();
    let mut room = FOLDER_KEPT;
    for prefix in [folder_key(path), below_key(path)] {
        let mut scan = index.files.from(&index.store, &prefix)?;
        while scan.advance(&index.files, &index.store)? && scan.key().starts_with(&prefix) {
            if peek_audience(scan.value()) == Audience::Buddies && !buddy {
                continue;
            }
            let path = virtual_path(scan.key())?;
            let folder = split(&path).0;
            if folders.last().is_none_or(|last| last.path != folder) {
                room = room.saturating_sub(1);
                if room == 0 {
                    return Ok(folders);
                }
                folders.push(FolderEntry { path: folder.to_owned(), files: Vec::new() });
            }
            room = room.saturating_sub(1);
            if room == 0 {
                return Ok(folders);
            }
            let told = entry(&scan, &path, &index.roots)?;
            if let Some(last) = folders.last_mut() {
                last.files.push(told);
            }
        }
    }
    Ok(folders)
}

/// A share list as it lies in the index, to be sent part by part.
#[derive(Debug)]
pub(crate) struct StoredList {
    index: Arc<Index>,
    rest: Section,
}

impl StoredList {
    pub(super) fn new(index: Arc<Index>, buddy: bool) -> StoredList {
        let rest = index.lists[usize::from(buddy)];
        StoredList { index, rest }
    }

    /// Bytes that were not taken yet.
    pub(crate) fn length(&self) -> u64 {
        self.rest.length
    }

    /// Takes the next bytes from the disk; none when all were taken.
    pub(crate) fn take(&mut self) -> io::Result<Vec<u8>> {
        let count = self.rest.length.min(STEP);
        let bytes = self.index.store.read(self.rest.at, count)?;
        self.rest = Section { at: self.rest.at + count, length: self.rest.length - count };
        Ok(bytes)
    }
}
