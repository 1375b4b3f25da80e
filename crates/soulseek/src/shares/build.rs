//! Makes an index: files come in any order, are sorted on disk, and everything is written front to
//! back. Memory stays bounded however many files there are; walking the disk is not done here.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::bytes::{Bytes, damaged, put_bytes, put_number};
use super::record::{Record, key, virtual_path};
use super::sort::Sorter;
use super::store::{Index, Out, Trailer};
use super::table;
use super::words::{backwards, split, words};
use super::{SharedFile, Shares, list, postings};

/// Bytes of postings that are held before they are sorted away.
const HELD: usize = 24 << 20;
/// What a word takes beside its bytes, roughly.
const PER_WORD: usize = 96;
/// The word that no path can have: files for buddies only.
pub(super) const FOR_BUDDIES: &str = "\0";

/// For whom a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever asks.
    Everyone,
    /// Users named by [`Shares::with_buddies`].
    Buddies,
}

/// Takes files and makes an index of them.
#[derive(Debug)]
pub struct Builder {
    folder: Option<PathBuf>,
    files: Sorter,
}

impl Builder {
    /// Sorts in this folder, which needs room for about as much as the index takes.
    pub fn new(folder: &Path) -> Builder {
        Builder { folder: Some(folder.to_owned()), files: Sorter::new(Some(folder)) }
    }

    pub(super) fn in_memory() -> Builder {
        Builder { folder: None, files: Sorter::new(None) }
    }

    /// Adds a file. Of two with one virtual path the later one is kept. `modified` is any number that is
    /// another when the file is; [`Shares::known`] gives it back.
    ///
    /// # Errors
    /// When the folder takes no more.
    pub fn add(&mut self, file: &SharedFile, modified: u64, audience: Audience) -> io::Result<()> {
        let record = Record::of(file, modified, audience);
        self.files.push(&key(&file.virtual_path), &record.write(&file.virtual_path, None))
    }

    /// Writes the index beside `path`, puts it there when it is whole and on disk, and opens it.
    ///
    /// # Errors
    /// When it cannot be written or read back.
    pub fn finish(self, path: &Path) -> io::Result<Shares> {
        let unfinished = path.with_extension("new");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)?;
        self.write(Out::begin(Some(file))?)?;
        let index = Index::open(&unfinished).map_err(io::Error::other)?;
        std::fs::rename(&unfinished, path)?;
        Ok(Shares::of(index))
    }

    pub(super) fn finish_in_memory(self) -> io::Result<Shares> {
        let out = Out::begin(None)?;
        self.write(out).map(Shares::of)
    }

    fn write(self, mut out: Out) -> io::Result<Index> {
        let mut trailer = Trailer::default();
        let mut having = WordSorter::new(self.folder.as_deref());
        let mut roots = Vec::new();
        let mut files = table::Writer::default();
        let mut sorted = self.files.finish()?;
        let mut counted = list::Counted::default();
        let mut number = 0;
        while let Some((key, value)) = sorted.next()? {
            if sorted.peek() == Some(&key) {
                continue;
            }
            let path = virtual_path(&key)?;
            let record = Record::read(&value, &path, &[])?;
            for word in words(&path) {
                having.add(&word, number)?;
            }
            if record.audience == Audience::Buddies {
                having.add(FOR_BUDDIES, number)?;
            }
            counted.count(split(&path).0, record.audience);
            files.add(&mut out, &key, &record.write(&path, Some(&mut roots)))?;
            number =
                u32::checked_add(number, 1).ok_or_else(|| damaged("more files than numbers"))?;
        }
        drop(sorted);
        trailer.files = files.finish(&mut out)?;
        trailer.public_files = counted.files[0];
        trailer.public_folders = u64::from(counted.folders[0]);
        having.write(&mut out, &mut trailer)?;
        let mut packed = Vec::new();
        for root in &roots {
            put_bytes(&mut packed, root);
        }
        trailer.roots = out.section(&packed)?;
        trailer.lists = list::write(&mut out, trailer.files, &roots, &counted)?;
        Index::check(out.finish(&trailer)?)
    }
}

/// Collects which words have which files, sorted by word.
#[derive(Debug)]
struct WordSorter {
    folder: Option<PathBuf>,
    held: HashMap<String, Numbers>,
    bytes: usize,
    sorter: Sorter,
}

/// Rising numbers as the differences between them.
#[derive(Debug, Default)]
struct Numbers {
    packed: Vec<u8>,
    last: Option<u32>,
}

impl WordSorter {
    fn new(folder: Option<&Path>) -> WordSorter {
        let sorter = Sorter::new(folder);
        WordSorter { folder: folder.map(Path::to_owned), held: HashMap::new(), bytes: 0, sorter }
    }

    fn add(&mut self, word: &str, number: u32) -> io::Result<()> {
        let numbers = match self.held.get_mut(word) {
            Some(numbers) => numbers,
            None => {
                self.bytes += word.len() + PER_WORD;
                self.held.entry(word.to_owned()).or_default()
            }
        };
        if numbers.last == Some(number) {
            return Ok(());
        }
        let before = numbers.packed.len();
        put_number(&mut numbers.packed, u64::from(number - numbers.last.unwrap_or(0)));
        numbers.last = Some(number);
        self.bytes += numbers.packed.len() - before;
        if self.bytes > HELD {
            self.pass_on()?;
        }
        Ok(())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        for (word, numbers) in self.held.drain() {
            self.sorter.push(word.as_bytes(), &numbers.packed)?;
        }
        self.bytes = 0;
        Ok(())
    }

    fn write(mut self, out: &mut Out, trailer: &mut Trailer) -> io::Result<()> {
        self.pass_on()?;
        let begin = out.at();
        let mut forwards = Sorter::new(self.folder.as_deref());
        let mut turned = Sorter::new(self.folder.as_deref());
        let mut sorted = self.sorter.finish()?;
        let mut numbers: Vec<u32> = Vec::new();
        while let Some((word, packed)) = sorted.next()? {
            let mut packed = Bytes(&packed);
            // Each part counts from zero.
            let mut last = 0;
            while !packed.is_empty() {
                last += packed.number32()?;
                numbers.push(last);
            }
            if sorted.peek() == Some(&word) {
                continue;
            }
            let value = postings::write(out, begin, &numbers)?;
            numbers.clear();
            let text = String::from_utf8_lossy(&word);
            turned.push(backwards(&text).as_bytes(), &value)?;
            forwards.push(&word, &value)?;
        }
        trailer.postings.at = begin;
        trailer.postings.length = out.at() - begin;
        for (sorter, place) in [(forwards, &mut trailer.words), (turned, &mut trailer.backwards)] {
            let mut table = table::Writer::default();
            let mut sorted = sorter.finish()?;
            while let Some((word, value)) = sorted.next()? {
                table.add(out, &word, &value)?;
            }
            *place = table.finish(out)?;
        }
        Ok(())
    }
}
