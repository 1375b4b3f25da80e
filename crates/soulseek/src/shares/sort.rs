//! Sorts more than memory should hold: pairs of key and value go into sorted runs on disk, which are
//! merged while they are read. Pairs with one key stay in the order they came in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of pairs that are held before they become a run on disk.
const HELD: usize = 16 << 20;
/// What one pair takes beside its bytes.
const PER_PAIR: usize = size_of::<Pair>();
/// What each run reads at a time while they are merged.
const STEP: usize = 64 << 10;

#[derive(Debug, Clone, Copy)]
struct Pair {
    at: usize,
    key: u32,
    value: u32,
}

/// Takes pairs in any order.
#[derive(Debug)]
pub(super) struct Sorter {
    /// Where runs go; without one everything stays in memory.
    folder: Option<PathBuf>,
    held: Vec<u8>,
    pairs: Vec<Pair>,
    runs: Vec<File>,
}

impl Sorter {
    pub fn new(folder: Option<&Path>) -> Sorter {
        let folder = folder.map(Path::to_owned);
        Sorter { folder, held: Vec::new(), pairs: Vec::new(), runs: Vec::new() }
    }

    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        let pair = Pair { at: self.held.len(), key: length(key)?, value: length(value)? };
        self.held.extend_from_slice(key);
        self.held.extend_from_slice(value);
        self.pairs.push(pair);
        if self.held.len() + self.pairs.len() * PER_PAIR > HELD {
            self.spill()?;
        }
        Ok(())
    }

    /// Gives the pairs back in the order of their keys.
    pub fn finish(mut self) -> io::Result<Merge> {
        self.sort();
        let mut sources = Vec::new();
        for mut run in std::mem::take(&mut self.runs) {
            run.seek(SeekFrom::Start(0))?;
            sources.push(Source::Run(BufReader::with_capacity(STEP, run)));
        }
        // Last, because what came last is here.
        sources.push(Source::Held { held: self.held, pairs: self.pairs.into_iter() });
        let mut merge = Merge { sources, heads: BinaryHeap::new() };
        for number in 0..merge.sources.len() {
            merge.advance(number)?;
        }
        Ok(merge)
    }

    fn sort(&mut self) {
        let held = &self.held;
        self.pairs.sort_by_key(|pair| &held[pair.at..pair.at + pair.key as usize]);
    }

    fn spill(&mut self) -> io::Result<()> {
        let Some(folder) = self.folder.as_deref() else { return Ok(()) };
        let mut out = BufWriter::with_capacity(STEP, nameless(folder)?);
        self.sort();
        for pair in &self.pairs {
            let length = pair.key as usize + pair.value as usize;
            out.write_all(&pair.key.to_le_bytes())?;
            out.write_all(&pair.value.to_le_bytes())?;
            out.write_all(&self.held[pair.at..pair.at + length])?;
        }
        self.runs.push(out.into_inner().map_err(io::IntoInnerError::into_error)?);
        self.held.clear();
        self.pairs.clear();
        Ok(())
    }
}

/// A file that is gone when it is closed, and so after a crash, too.
fn nameless(folder: &Path) -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("sort-{}-{number}.tmp", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// A key and its value.
type KeyValue = (Vec<u8>, Vec<u8>);

#[derive(Debug)]
enum Source {
    Run(BufReader<File>),
    Held { held: Vec<u8>, pairs: std::vec::IntoIter<Pair> },
}

impl Source {
    fn next(&mut self) -> io::Result<Option<KeyValue>> {
        match self {
            Source::Held { held, pairs } => Ok(pairs.next().map(|pair| {
                let (key, value) = (pair.at, pair.at + pair.key as usize);
                (held[key..value].to_vec(), held[value..value + pair.value as usize].to_vec())
            })),
            Source::Run(run) => {
                if run.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                let mut length = || {
                    let mut length = [0; 4];
                    run.read_exact(&mut length)?;
                    io::Result::Ok(u32::from_le_bytes(length) as usize)
                };
                let (mut key, mut value) = (vec![0; length()?], vec![0; length()?]);
                run.read_exact(&mut key)?;
                run.read_exact(&mut value)?;
                Ok(Some((key, value)))
            }
        }
    }
}

/// Key, source and value: of one key, what came first is taken first.
type Head = (Vec<u8>, usize, Vec<u8>);

/// Pairs in the order of their keys.
#[derive(Debug)]
pub(super) struct Merge {
    sources: Vec<Source>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl Merge {
    pub fn next(&mut self) -> io::Result<Option<KeyValue>> {
        let Some(Reverse((key, number, value))) = self.heads.pop() else { return Ok(None) };
        self.advance(number)?;
        Ok(Some((key, value)))
    }

    /// The key that comes next.
    pub fn peek(&self) -> Option<&[u8]> {
        self.heads.peek().map(|Reverse((key, ..))| key.as_slice())
    }

    fn advance(&mut self, number: usize) -> io::Result<()> {
        if let Some((key, value)) = self.sources[number].next()? {
            self.heads.push(Reverse((key, number, value)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_is_held_comes_back_sorted_and_what_is_equal_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(Some(folder.path()));
        let padding = [b'x'; 1000];
        let count = 3 * HELD / 1000;
        for number in 0..count {
            let key = (number * 7919 % 100).to_be_bytes();
            let value = [&number.to_be_bytes()[..], &padding].concat();
            sorter.push(&key, &value).unwrap();
        }
        assert!(sorter.runs.len() >= 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file has a name");
        let mut merge = sorter.finish().unwrap();
        let mut before = (Vec::new(), Vec::new());
        let mut seen = 0;
        while let Some(pair) = merge.next().unwrap() {
            assert!(before < pair);
            before = pair;
            seen += 1;
        }
        assert_eq!(seen, count);
    }
}
