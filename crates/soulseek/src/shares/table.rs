//! A sorted table on disk: keys share their beginnings with the one before, in blocks of
//! [`ENTRIES`]. The first key of each block stays in memory, so finding a key is one positioned read.
//! Entries are numbered from 0. What keys and values mean is not known here.

use std::io;

use super::bytes::{Bytes, damaged, put_bytes, put_number};
use super::store::{Out, Section, Store};

/// Entries of a block, the last one excepted.
const ENTRIES: u64 = 32;

/// Writes a table; keys come sorted, each once.
#[derive(Debug, Default)]
pub(super) struct Writer {
    block: Vec<u8>,
    /// First key and place of each block.
    index: Vec<u8>,
    last: Vec<u8>,
    begin: Option<u64>,
    count: u64,
}

/// Where a table lies.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub blocks: Section,
    pub index: Section,
    pub count: u64,
}

impl Writer {
    pub fn add(&mut self, out: &mut Out, key: &[u8], value: &[u8]) -> io::Result<()> {
        let begin = *self.begin.get_or_insert(out.at());
        let first = self.count.is_multiple_of(ENTRIES);
        if first {
            out.write(&std::mem::take(&mut self.block))?;
            put_bytes(&mut self.index, key);
            put_number(&mut self.index, out.at() - begin);
        }
        let shared =
            if first { 0 } else { key.iter().zip(&self.last).take_while(|(a, b)| a == b).count() };
        put_number(&mut self.block, shared as u64);
        put_bytes(&mut self.block, &key[shared..]);
        put_bytes(&mut self.block, value);
        self.last.clear();
        self.last.extend_from_slice(key);
        self.count += 1;
        Ok(())
    }

    pub fn finish(self, out: &mut Out) -> io::Result<Place> {
        let begin = self.begin.unwrap_or(out.at());
        out.write(&self.block)?;
        let blocks = Section { at: begin, length: out.at() - begin };
        let index = out.section(&self.index)?;
        Ok(Place { blocks, index, count: self.count })
    }
}

/// Reads a table.
#[derive(Debug)]
pub(super) struct Table {
    blocks: Section,
    count: u64,
    /// The first keys, one after the other.
    keys: Vec<u8>,
    /// Where in `keys` the first key of a block ends, and where in the file the block begins.
    starts: Vec<(usize, u64)>,
}

impl Table {
    pub fn open(store: &Store, place: Place) -> io::Result<Table> {
        let index = store.section(place.index)?;
        let mut index = Bytes(&index);
        let mut keys = Vec::new();
        let mut starts: Vec<(usize, u64)> = Vec::new();
        while !index.is_empty() {
            keys.extend_from_slice(index.counted()?);
            let at = index.number()?;
            let rises = starts.last().map_or(at == 0, |&(_, before)| before < at);
            if !rises || at >= place.blocks.length {
                return Err(damaged("blocks are out of order"));
            }
            starts.push((keys.len(), at));
        }
        if place.count.div_ceil(ENTRIES) != starts.len() as u64 {
            return Err(damaged("a table has another number of blocks"));
        }
        keys.shrink_to_fit();
        starts.shrink_to_fit();
        Ok(Table { blocks: place.blocks, count: place.count, keys, starts })
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value of this key.
    pub fn find(&self, store: &Store, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let Some(block) = self.first_keys_to(key).checked_sub(1) else { return Ok(None) };
        let mut cursor = self.block(store, block)?;
        while cursor.advance()? {
            if cursor.key() >= key {
                let found = cursor.key() == key;
                return Ok(found.then(|| cursor.value().to_vec()));
            }
        }
        Ok(None)
    }

    /// Stands before the first entry whose key is not below this one.
    pub fn from(&self, store: &Store, key: &[u8]) -> io::Result<Scan> {
        let mut scan =
            Scan { block: self.first_keys_to(key).saturating_sub(1), cursor: None, waiting: false };
        while scan.advance(self, store)? {
            if scan.key() >= key {
                scan.waiting = true;
                break;
            }
        }
        Ok(scan)
    }

    /// About how many keys are at least `from` and below `to`: too many by a block or two.
    pub fn between(&self, from: &[u8], to: &[u8]) -> u64 {
        let blocks = self.first_keys_to(to) - self.first_keys_to(from).min(self.first_keys_to(to));
        (blocks as u64 + 1) * ENTRIES
    }

    /// Stands on the entry of this number.
    pub fn at(&self, store: &Store, number: u64, near: Option<Cursor>) -> io::Result<Cursor> {
        let mut cursor = match near {
            // Hits of a search lie side by side.
            Some(near) if near.number() <= number && near.first / ENTRIES == number / ENTRIES => {
                near
            }
            _ => {
                let block = usize::try_from(number / ENTRIES).map_err(|_| damaged("far away"))?;
                let mut cursor = self.block(store, block)?;
                cursor.advance()?;
                cursor
            }
        };
        while cursor.number() < number {
            if !cursor.advance()? {
                return Err(damaged("an entry is missing"));
            }
        }
        Ok(cursor)
    }

    /// How many blocks begin with a key that is not above this one.
    fn first_keys_to(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.starts.len());
        while low < high {
            let middle = low.midpoint(high);
            let begin = middle.checked_sub(1).map_or(0, |before| self.starts[before].0);
            if &self.keys[begin..self.starts[middle].0] <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn block(&self, store: &Store, block: usize) -> io::Result<Cursor> {
        let &(_, begin) = self.starts.get(block).ok_or_else(|| damaged("no such block"))?;
        let end = self.starts.get(block + 1).map_or(self.blocks.length, |&(_, end)| end);
        let bytes = store.read(self.blocks.at + begin, end - begin)?;
        let first = block as u64 * ENTRIES;
        let end = self.count.min(first + ENTRIES);
        Ok(Cursor { bytes, at: 0, first, next: first, end, key: Vec::new(), value: 0..0 })
    }
}

/// Goes through the entries of a block.
#[derive(Debug)]
pub(super) struct Cursor {
    bytes: Vec<u8>,
    at: usize,
    first: u64,
    next: u64,
    end: u64,
    key: Vec<u8>,
    value: std::ops::Range<usize>,
}

impl Cursor {
    /// Goes to the next entry; false behind the last.
    pub fn advance(&mut self) -> io::Result<bool> {
        if self.next == self.end {
            return Ok(false);
        }
        let mut bytes = Bytes(self.bytes.get(self.at..).unwrap_or_default());
        let shared = bytes.size()?;
        if shared > self.key.len() {
            return Err(damaged("a key shares more than there is"));
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(bytes.counted()?);
        let length = bytes.counted()?.len();
        self.at = self.bytes.len() - bytes.0.len();
        self.value = self.at - length..self.at;
        self.next += 1;
        Ok(true)
    }

    pub fn number(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn value(&self) -> &[u8] {
        &self.bytes[self.value.clone()]
    }
}

/// Goes through the entries of a table.
#[derive(Debug)]
pub(super) struct Scan {
    block: usize,
    cursor: Option<Cursor>,
    /// The entry it stands on was not given out yet.
    waiting: bool,
}

impl Scan {
    /// Goes to the next entry; false behind the last.
    pub fn advance(&mut self, table: &Table, store: &Store) -> io::Result<bool> {
        if std::mem::take(&mut self.waiting) {
            return Ok(true);
        }
        loop {
            if let Some(cursor) = &mut self.cursor {
                if cursor.advance()? {
                    return Ok(true);
                }
                self.block += 1;
            }
            if self.block >= table.starts.len() {
                self.cursor = None;
                return Ok(false);
            }
            self.cursor = Some(table.block(store, self.block)?);
        }
    }

    pub fn key(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], Cursor::key)
    }

    pub fn value(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], Cursor::value)
    }
}
