//! Finds files by words: intersects the lists of a query chunk by chunk, in the order of the files,
//! until enough are found. What the words of a query are says [`super::words`]; what may be asked how often,
//! `crate::search`.

use std::io;

use super::SharedFile;
use super::build::{Audience, FOR_BUDDIES};
use super::postings::{Chunk, List, Union};
use super::record::{Record, virtual_path};
use super::store::Index;
use super::words::{Query, backwards, words};

/// Files that are looked at one by one for one query. Only endings and excluded phrases need that, and
/// a query that was made to be slow is not worth more.
const LOOKED_AT: usize = 50_000;
/// With no more candidates than this, their paths are read rather than the lists of an ending.
const FEW: u64 = 2_000;

/// One file that a query finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub file: SharedFile,
    /// Whether it is for buddies only, and belongs among the private files of an answer.
    pub private: bool,
}

/// At most `limit` files, in the order of their folders; those for buddies only if `buddy`.
pub(super) fn find(
    index: &Index,
    query: &str,
    excluded: &[String],
    limit: usize,
    buddy: bool,
) -> io::Result<Vec<Found>> {
    let Some(query) = Query::parse(query) else { return Ok(Vec::new()) };
    let Some(plan) = plan(index, &query, buddy)? else { return Ok(Vec::new()) };
    let phrases: Vec<String> = excluded.iter().map(|phrase| phrase.to_lowercase()).collect();
    let fits = |path: &str| {
        let phrase = || {
            let path = path.to_lowercase();
            phrases.iter().any(|phrase| path.contains(phrase))
        };
        plan.endings.iter().all(|ending| words(path).any(|word| word.ends_with(ending.as_str())))
            && (phrases.is_empty() || !phrase())
    };
    let mut found = Vec::new();
    let mut looked_at = 0;
    let mut near = None;
    for chunk in plan.chunks() {
        for low in plan.candidates(index, chunk)? {
            if found.len() == limit || looked_at == LOOKED_AT {
                return Ok(found);
            }
            looked_at += 1;
            let number = (chunk << 16) | u64::from(low);
            let cursor = index.files.at(&index.store, number, near.take())?;
            let path = virtual_path(cursor.key())?;
            if fits(&path) {
                let record = Record::read(cursor.value(), &path, &index.roots)?;
                let private = record.audience == Audience::Buddies;
                found.push(Found { file: record.into_file(path), private });
            }
            near = Some(cursor);
        }
    }
    Ok(found)
}

/// What a file has to be in, and what it must not.
#[derive(Debug)]
struct Plan<'a> {
    /// Sorted by length, so that the first leaves the least to look at.
    wanted: Vec<List>,
    unwanted: Vec<List>,
    union: Option<Union>,
    /// Endings that are looked for in the path itself.
    endings: Vec<&'a String>,
}

/// `None` when nothing can be found.
fn plan<'a>(index: &Index, query: &'a Query, buddy: bool) -> io::Result<Option<Plan<'a>>> {
    let list = |word: &str| -> io::Result<Option<List>> {
        match index.words.find(&index.store, word.as_bytes())? {
            Some(value) => List::open(&index.store, index.postings, &value).map(Some),
            None => Ok(None),
        }
    };
    let mut wanted = Vec::new();
    for word in &query.wanted {
        match list(word)? {
            Some(list) => wanted.push(list),
            None => return Ok(None),
        }
    }
    let mut unwanted = Vec::new();
    for word in query.unwanted.iter().map(String::as_str).chain((!buddy).then_some(FOR_BUDDIES)) {
        unwanted.extend(list(word)?);
    }
    wanted.sort_by_key(List::count);
    let mut endings: Vec<&String> = query.endings.iter().collect();
    if wanted.is_empty() && endings.is_empty() {
        return Ok(None);
    }
    let mut union = None;
    if wanted.first().is_none_or(|list| list.count() > FEW) {
        // Lists are collected for one ending at most, the rarest: a query may name dozens that
        // everything ends in.
        let rarest = (0..endings.len()).min_by_key(|&at| {
            let (from, to) = beginnings(endings[at]);
            index.backwards.between(&from, &to)
        });
        if let Some(rarest) = rarest {
            union = Some(ending_in(index, endings.swap_remove(rarest))?);
        }
    }
    Ok(Some(Plan { wanted, unwanted, union, endings }))
}

/// Between which two keys the words are that end so.
fn beginnings(ending: &str) -> (Vec<u8>, Vec<u8>) {
    let from = backwards(ending).into_bytes();
    // No byte of a text is 255.
    let to = [from.as_slice(), &[0xff]].concat();
    (from, to)
}

fn ending_in(index: &Index, ending: &str) -> io::Result<Union> {
    let mut union = Union::new(index.files.count());
    let (from, _) = beginnings(ending);
    let mut scan = index.backwards.from(&index.store, &from)?;
    while scan.advance(&index.backwards, &index.store)? && scan.key().starts_with(&from) {
        union.add(&index.store, &List::open(&index.store, index.postings, scan.value())?)?;
    }
    Ok(union)
}

impl Plan<'_> {
    fn chunks(&self) -> Vec<u64> {
        match (self.wanted.first(), &self.union) {
            (Some(rarest), _) => rarest.chunks().collect(),
            (None, Some(union)) => union.chunks().collect(),
            (None, None) => Vec::new(),
        }
    }

    /// The files of a chunk that are in every list.
    fn candidates(&self, index: &Index, chunk: u64) -> io::Result<Vec<u16>> {
        let union = self.union.as_ref().and_then(|union| union.chunk(chunk));
        let (first, rest) = match (self.wanted.split_first(), union) {
            (Some((first, rest)), union) => (first.chunk(&index.store, chunk)?, (rest, union)),
            (None, union) => (union, (&[][..], None)),
        };
        let Some(first) = first else { return Ok(Vec::new()) };
        let mut numbers = first.numbers();
        let (rest, union) = rest;
        for list in rest {
            if numbers.is_empty() {
                return Ok(numbers);
            }
            match list.chunk(&index.store, chunk)? {
                Some(others) => numbers.retain(|&number| others.has(number)),
                None => return Ok(Vec::new()),
            }
        }
        if let Some(union) = union {
            numbers.retain(|&number| union.has(number));
        }
        for list in &self.unwanted {
            if numbers.is_empty() {
                return Ok(numbers);
            }
            let others: Option<Chunk> = list.chunk(&index.store, chunk)?;
            if let Some(others) = others {
                numbers.retain(|&number| !others.has(number));
            }
        }
        Ok(numbers)
    }
}
