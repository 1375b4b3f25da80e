//! The file an index lies in, and what of it is held in memory once it is open.
//!
//! ```text
//! magic | files | words | backwards | postings … | roots | lists | trailer: places, checksum, magic
//! ```
//! `files` is a table of keys and records ([`super::record`]), `words` and `backwards` lead to
//! postings, the lists are bodies of message 5 as they travel: for everyone, and for buddies. A file
//! is written once, under another name, and never changed. It is read with positioned reads, because
//! whoever asks moves nobody else's place.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::SharedFile;
use super::build::Audience;
use super::bytes::{Bytes, damaged};
use super::record::{self, Record};
use super::table::{Place, Table};

/// The last two digits are the version of the layout.
const MAGIC: &[u8; 8] = b"RPSHRS01";
/// What is read at a time when a file is checked.
const STEP: usize = 256 << 10;

/// Why an index cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there or cannot be read.
    #[error("cannot read the index of shares")]
    Read(#[source] io::Error),
    /// It is damaged, of another version, or something else.
    #[error("this is no index of shares, or a damaged one")]
    Damaged(#[source] io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> OpenError {
        match error.kind() {
            io::ErrorKind::InvalidData => OpenError::Damaged(error),
            _ => OpenError::Read(error),
        }
    }
}

/// Part of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub at: u64,
    pub length: u64,
}

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Store {
    File(File, u64),
    Memory(Vec<u8>),
}

impl Store {
    fn length(&self) -> u64 {
        match self {
            Store::File(_, length) => *length,
            Store::Memory(bytes) => bytes.len() as u64,
        }
    }

    pub fn read(&self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        // Asked before memory is: a damaged length may be any.
        if at.checked_add(length).is_none_or(|end| end > self.length()) {
            return Err(damaged("it points behind its end"));
        }
        match self {
            Store::File(file, _) => {
                let mut bytes = vec![0; length as usize];
                file.read_exact_at(&mut bytes, at)?;
                Ok(bytes)
            }
            Store::Memory(bytes) => Ok(bytes[at as usize..(at + length) as usize].to_vec()),
        }
    }

    pub fn section(&self, section: Section) -> io::Result<Vec<u8>> {
        self.read(section.at, section.length)
    }
}

/// Takes the bytes of an index one after the other.
#[derive(Debug)]
pub(super) struct Out {
    sink: Sink,
    at: u64,
    checksum: crc32fast::Hasher,
}

#[derive(Debug)]
enum Sink {
    File(BufWriter<File>),
    Memory(Vec<u8>),
}

impl Out {
    /// Begins an index in this file, or in memory.
    pub fn begin(file: Option<File>) -> io::Result<Out> {
        let sink = match file {
            Some(file) => Sink::File(BufWriter::with_capacity(STEP, file)),
            None => Sink::Memory(Vec::new()),
        };
        let mut out = Out { sink, at: 0, checksum: crc32fast::Hasher::new() };
        out.write(MAGIC)?;
        Ok(out)
    }

    pub fn at(&self) -> u64 {
        self.at
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::File(file) => file.write_all(bytes)?,
            Sink::Memory(memory) => memory.extend_from_slice(bytes),
        }
        self.checksum.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub fn section(&mut self, bytes: &[u8]) -> io::Result<Section> {
        let section = Section { at: self.at, length: bytes.len() as u64 };
        self.write(bytes)?;
        Ok(section)
    }

    /// What was written so far, to be read.
    pub fn so_far(&mut self) -> io::Result<Store> {
        match &mut self.sink {
            Sink::File(file) => {
                file.flush()?;
                Ok(Store::File(file.get_ref().try_clone()?, self.at))
            }
            Sink::Memory(memory) => Ok(Store::Memory(memory.clone())),
        }
    }

    /// Ends the index; on disk when this returns, if it is a file.
    pub fn finish(mut self, trailer: &Trailer) -> io::Result<Store> {
        self.write(&trailer.encode())?;
        let checksum = self.checksum.clone().finalize();
        self.write(&checksum.to_le_bytes())?;
        self.write(MAGIC)?;
        match self.sink {
            Sink::File(file) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.sync_all()?;
                Ok(Store::File(file, self.at))
            }
            Sink::Memory(memory) => Ok(Store::Memory(memory)),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Out::write(self, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is where.
#[derive(Debug, Default)]
pub(super) struct Trailer {
    pub files: Place,
    pub words: Place,
    pub backwards: Place,
    pub postings: Section,
    pub roots: Section,
    /// Message 5 for everyone, and for buddies.
    pub lists: [Section; 2],
    pub public_files: u64,
    pub public_folders: u64,
}

impl Trailer {
    const NUMBERS: usize = 25;
    const LENGTH: u64 = (Trailer::NUMBERS * 8) as u64;

    fn encode(&self) -> Vec<u8> {
        let section = |section: Section| [section.at, section.length];
        let mut numbers = Vec::with_capacity(Trailer::NUMBERS);
        for place in [self.files, self.words, self.backwards] {
            numbers.extend(section(place.blocks));
            numbers.extend(section(place.index));
            numbers.push(place.count);
        }
        for part in [self.postings, self.roots, self.lists[0], self.lists[1]] {
            numbers.extend(section(part));
        }
        numbers.extend([self.public_files, self.public_folders]);
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn decode(bytes: &[u8], end: u64) -> io::Result<Trailer> {
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut number = || numbers.next().ok_or_else(|| damaged("a short trailer"));
        let section = |at: u64, length: u64| {
            let inside = at.checked_add(length).is_some_and(|behind| behind <= end);
            inside
                .then_some(Section { at, length })
                .ok_or_else(|| damaged("a section lies outside"))
        };
        let mut place = || -> io::Result<Place> {
            let blocks = section(number()?, number()?)?;
            let index = section(number()?, number()?)?;
            Ok(Place { blocks, index, count: number()? })
        };
        let (files, words, backwards) = (place()?, place()?, place()?);
        Ok(Trailer {
            files,
            words,
            backwards,
            postings: section(number()?, number()?)?,
            roots: section(number()?, number()?)?,
            lists: [section(number()?, number()?)?, section(number()?, number()?)?],
            public_files: number()?,
            public_folders: number()?,
        })
    }
}

/// An open index.
pub(super) struct Index {
    pub store: Store,
    pub files: Table,
    pub words: Table,
    pub backwards: Table,
    pub postings: Section,
    pub roots: Vec<Vec<u8>>,
    pub lists: [Section; 2],
    pub public_files: u64,
    pub public_folders: u64,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("files", &self.files.count()).finish_non_exhaustive()
    }
}

impl Index {
    pub fn open(path: &Path) -> Result<Index, OpenError> {
        let file = File::open(path).map_err(OpenError::Read)?;
        let length = file.metadata().map_err(OpenError::Read)?.len();
        Ok(Index::check(Store::File(file, length))?)
    }

    /// Reads all of it once.
    pub fn check(store: Store) -> io::Result<Index> {
        let magic = MAGIC.len() as u64;
        let short = || damaged("it is too short");
        let end = store.length().checked_sub(Trailer::LENGTH + 4 + magic).ok_or_else(short)?;
        if store.read(0, magic.min(end))? != MAGIC
            || store.read(store.length() - magic, magic)? != MAGIC
        {
            return Err(damaged("its first or last words are others"));
        }
        let mut checksum = crc32fast::Hasher::new();
        let summed = end + Trailer::LENGTH;
        for at in (0..summed).step_by(STEP) {
            checksum.update(&store.read(at, (STEP as u64).min(summed - at))?);
        }
        if checksum.finalize().to_le_bytes() != store.read(summed, 4)?[..] {
            return Err(damaged("its checksum is another"));
        }
        Index::new(store, end)
    }

    /// Of a store whose trailer begins at `end`.
    fn new(store: Store, end: u64) -> io::Result<Index> {
        let trailer = Trailer::decode(&store.read(end, Trailer::LENGTH)?, end)?;
        let files = Table::open(&store, trailer.files)?;
        if trailer.public_files > files.count() || files.count() > u64::from(u32::MAX) {
            return Err(damaged("it has more files than it can"));
        }
        let roots = store.section(trailer.roots)?;
        let mut rest = Bytes(&roots);
        let mut roots = Vec::new();
        while !rest.is_empty() {
            roots.push(rest.counted()?.to_vec());
        }
        Ok(Index {
            files,
            words: Table::open(&store, trailer.words)?,
            backwards: Table::open(&store, trailer.backwards)?,
            postings: trailer.postings,
            roots,
            lists: trailer.lists,
            public_files: trailer.public_files,
            public_folders: trailer.public_folders,
            store,
        })
    }

    pub fn look_up(&self, virtual_path: &str) -> io::Result<Option<(SharedFile, u64, Audience)>> {
        let Some(value) = self.files.find(&self.store, &record::key(virtual_path))? else {
            return Ok(None);
        };
        let found = Record::read(&value, virtual_path, &self.roots)?;
        let (modified, audience) = (found.modified, found.audience);
        Ok(Some((found.into_file(virtual_path.to_owned()), modified, audience)))
    }
}
