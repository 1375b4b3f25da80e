//! Which files have a word: sorted file numbers, cut into chunks of 65,536. A chunk is an array, a
//! bitmap or runs, whatever is shortest: files of one album follow each other, so most words are runs.

use std::io;

use super::bytes::{Bytes, damaged, put_number};
use super::store::{Out, Section, Store};

/// File numbers of a chunk.
const CHUNK: u64 = 1 << 16;
/// Bytes of a bitmap of one chunk.
const BITMAP: usize = (CHUNK / 8) as usize;
/// A list up to this many bytes is read at once.
const AT_ONCE: u64 = 4 << 10;

const ARRAY: u8 = 0;
const BITS: u8 = 1;
const RUNS: u8 = 2;

/// Writes a list and returns what leads to it, the value of a word.
pub(super) fn write(out: &mut Out, begin: u64, numbers: &[u32]) -> io::Result<Vec<u8>> {
    let mut value = Vec::new();
    put_number(&mut value, numbers.len() as u64);
    if let [number] = numbers {
        put_number(&mut value, u64::from(*number));
        return Ok(value);
    }
    let (mut directory, mut data) = (Vec::new(), Vec::new());
    for chunk in numbers.chunk_by(|a, b| a >> 16 == b >> 16) {
        let low: Vec<u16> = chunk.iter().map(|number| (number & 0xffff) as u16).collect();
        let runs: Vec<&[u16]> = low.chunk_by(|a, b| u32::from(*a) + 1 == u32::from(*b)).collect();
        let before = data.len();
        let kind = if runs.len() * 4 < BITMAP.min(low.len() * 2) {
            for run in runs {
                let last = run.last().unwrap_or(&run[0]);
                data.extend_from_slice(&run[0].to_le_bytes());
                data.extend_from_slice(&last.to_le_bytes());
            }
            RUNS
        } else if low.len() * 2 < BITMAP {
            data.extend(low.iter().flat_map(|number| number.to_le_bytes()));
            ARRAY
        } else {
            data.resize(before + BITMAP, 0);
            for number in low {
                data[before + usize::from(number >> 3)] |= 1 << (number & 7);
            }
            BITS
        };
        put_number(&mut directory, u64::from(chunk[0] >> 16));
        directory.push(kind);
        put_number(&mut directory, (data.len() - before) as u64);
    }
    put_number(&mut value, out.at() - begin);
    put_number(&mut value, directory.len() as u64);
    put_number(&mut value, data.len() as u64);
    out.write(&directory)?;
    out.write(&data)?;
    Ok(value)
}

/// A list, with the part of it that was read so far.
#[derive(Debug)]
pub(super) struct List {
    count: u64,
    /// Chunk, kind, place in the list's data, bytes.
    chunks: Vec<(u64, u8, u64, u64)>,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Read(Vec<u8>),
    At(u64),
}

impl List {
    /// Opens the list a word's value leads to.
    pub fn open(store: &Store, postings: Section, value: &[u8]) -> io::Result<List> {
        let mut value = Bytes(value);
        let count = value.number()?;
        if count == 1 {
            let number = value.number()?;
            let data = Data::Read(((number % CHUNK) as u16).to_le_bytes().to_vec());
            return Ok(List { count, chunks: vec![(number / CHUNK, ARRAY, 0, 2)], data });
        }
        let (at, directory, length) = (value.number()?, value.number()?, value.number()?);
        let inside = at.checked_add(directory).and_then(|end| end.checked_add(length));
        if inside.is_none_or(|end| end > postings.length) {
            return Err(damaged("a list lies outside"));
        }
        let at = postings.at + at;
        let whole = directory + length <= AT_ONCE;
        let mut bytes = store.read(at, if whole { directory + length } else { directory })?;
        let held = if whole { bytes.split_off(directory as usize) } else { Vec::new() };
        let mut entries = Bytes(&bytes);
        let mut chunks: Vec<(u64, u8, u64, u64)> = Vec::new();
        let mut used = 0;
        while !entries.is_empty() {
            let (chunk, kind, bytes) = (entries.number()?, entries.byte()?, entries.number()?);
            if bytes > length - used || bytes > BITMAP as u64 {
                return Err(damaged("a chunk is longer than its list"));
            }
            if chunks.last().is_some_and(|&(before, ..)| before >= chunk) {
                return Err(damaged("chunks are out of order"));
            }
            chunks.push((chunk, kind, used, bytes));
            used += bytes;
        }
        let data = if whole { Data::Read(held) } else { Data::At(at + directory) };
        Ok(List { count, chunks, data })
    }

    /// How many numbers it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The chunks that have any.
    pub fn chunks(&self) -> impl Iterator<Item = u64> {
        self.chunks.iter().map(|&(chunk, ..)| chunk)
    }

    /// One chunk, if it has any number in it.
    pub fn chunk(&self, store: &Store, chunk: u64) -> io::Result<Option<Chunk>> {
        let Ok(found) = self.chunks.binary_search_by_key(&chunk, |&(chunk, ..)| chunk) else {
            return Ok(None);
        };
        let (_, kind, at, length) = self.chunks[found];
        let bytes = match &self.data {
            Data::Read(data) => {
                Bytes(data.get(at as usize..).unwrap_or_default()).take(length as usize)?.to_vec()
            }
            Data::At(begin) => store.read(begin + at, length)?,
        };
        Chunk::read(kind, bytes).map(Some)
    }
}

/// Numbers within one chunk.
#[derive(Debug)]
pub(super) enum Chunk {
    Array(Vec<u16>),
    Bits(Vec<u8>),
    /// First and last of each run.
    Runs(Vec<(u16, u16)>),
}

impl Chunk {
    fn read(kind: u8, bytes: Vec<u8>) -> io::Result<Chunk> {
        let pairs = |bytes: &[u8]| -> Vec<u16> {
            bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
        };
        match kind {
            ARRAY => Ok(Chunk::Array(pairs(&bytes))),
            BITS if bytes.len() == BITMAP => Ok(Chunk::Bits(bytes)),
            RUNS => {
                Ok(Chunk::Runs(pairs(&bytes).chunks_exact(2).map(|run| (run[0], run[1])).collect()))
            }
            _ => Err(damaged("no kind of chunk")),
        }
    }

    pub fn has(&self, number: u16) -> bool {
        match self {
            Chunk::Array(numbers) => numbers.binary_search(&number).is_ok(),
            Chunk::Bits(bits) => bits[usize::from(number >> 3)] & (1 << (number & 7)) != 0,
            Chunk::Runs(runs) => {
                let after = runs.partition_point(|&(first, _)| first <= number);
                after > 0 && number <= runs[after - 1].1
            }
        }
    }

    pub fn numbers(self) -> Vec<u16> {
        match self {
            Chunk::Array(numbers) => numbers,
            Chunk::Bits(_) => (0..=u16::MAX).filter(|&number| self.has(number)).collect(),
            Chunk::Runs(runs) => runs
                .into_iter()
                .flat_map(|(first, last)| first..=last)
                .take(CHUNK as usize)
                .collect(),
        }
    }
}

/// The files of several lists together.
#[derive(Debug)]
pub(super) struct Union {
    bits: Vec<u8>,
}

impl Union {
    /// Of files numbered below `count`.
    pub fn new(count: u64) -> Union {
        let chunks = usize::try_from(count.div_ceil(CHUNK)).unwrap_or(0);
        Union { bits: vec![0; chunks * BITMAP] }
    }

    pub fn add(&mut self, store: &Store, list: &List) -> io::Result<()> {
        for chunk in list.chunks() {
            let begin = usize::try_from(chunk).unwrap_or(usize::MAX).saturating_mul(BITMAP);
            let Some(bits) = self.bits.get_mut(begin..).and_then(|rest| rest.get_mut(..BITMAP))
            else {
                return Err(damaged("a file that is not there"));
            };
            for number in list.chunk(store, chunk)?.map(Chunk::numbers).unwrap_or_default() {
                bits[usize::from(number >> 3)] |= 1 << (number & 7);
            }
        }
        Ok(())
    }

    pub fn chunks(&self) -> impl Iterator<Item = u64> {
        0..(self.bits.len() / BITMAP) as u64
    }

    pub fn chunk(&self, chunk: u64) -> Option<Chunk> {
        let begin = usize::try_from(chunk).ok()?.checked_mul(BITMAP)?;
        self.bits.get(begin..begin + BITMAP).map(|bits| Chunk::Bits(bits.to_vec()))
    }
}
