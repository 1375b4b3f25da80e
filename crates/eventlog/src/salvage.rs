//! Gets everything out of a damaged log that is still there: it trusts neither sled nor the order of
//! anything, reads the files byte by byte and around what the disk cannot read, and keeps what proves
//! itself. It changes nothing.
//!
//! First come whole blocks, which their own hash proves and the chain puts in order. What is missing
//! between them is looked for event by event, by the checksum of each frame; that is proof against
//! damage, not against somebody who means harm. What remains is named by position.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use domain::Seq;

use crate::block::{self, Block};
use crate::frame::{self, HEADER_BYTES};
use crate::history::{Header, WriteError, write_history};
use crate::lock::Lock;
use crate::log::OpenError;
use crate::mark::Mark;
use crate::record::Record;
use crate::store::{PART_BYTES, PART_HEADER_BYTES, PART_MAGIC};

mod source;

use self::source::Source;

/// Why nothing could be salvaged.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// The log is in use, or is none.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was found could not be written.
    #[error("cannot write what was salvaged")]
    Write(#[from] WriteError<io::Error>),
}

/// What came out of a log, and what did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// Events that came out.
    pub events: u64,
    /// Those of them that only their checksum proves, because their block is damaged.
    pub by_checksum: u64,
    /// Positions that are lost between events that came out.
    pub holes: Vec<RangeInclusive<Seq>>,
    /// Files and the bytes of them that the disk cannot read.
    pub unreadable: Vec<(PathBuf, Range<u64>)>,
    /// How the log ends.
    pub end: End,
}

/// How a salvaged log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the last event that was acknowledged.
    Whole {
        /// That event; zero when there never was one.
        last: Seq,
    },
    /// Something was being written that was never acknowledged: nothing is lost.
    Torn {
        /// The last event.
        last: Seq,
    },
    /// Events that were acknowledged are lost.
    Lost {
        /// The last event that came out.
        last: Seq,
        /// The last event that was acknowledged.
        acknowledged: Seq,
    },
}

impl Salvaged {
    /// Whether every acknowledged event came out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.holes.is_empty() && !matches!(self.end, End::Lost { .. })
    }
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events came out", self.events)?;
        if self.by_checksum > 0 {
            write!(f, ", {} of them from damaged blocks, by their checksum", self.by_checksum)?;
        }
        for (path, bytes) in &self.unreadable {
            let (path, first, last) = (path.display(), bytes.start, bytes.end - 1);
            write!(f, "\nthe disk cannot read bytes {first} to {last} of {path}")?;
        }
        for hole in &self.holes {
            let (first, last) = (hole.start(), hole.end());
            if first == last {
                write!(f, "\nevent {first} is damaged and lost")?;
            } else {
                write!(f, "\nevents {first} to {last} are damaged and lost")?;
            }
        }
        match self.end {
            End::Whole { last } => write!(f, "\nthe log ends where it ended, with event {last}"),
            End::Torn { last } => write!(
                f,
                "\nthe log ends with event {last}; what was being written after it was never \
                 acknowledged"
            ),
            End::Lost { last, acknowledged } => write!(
                f,
                "\nthe log ends with event {last}, and event {acknowledged} was acknowledged: its \
                 end is lost"
            ),
        }
    }
}

/// Reads what is left of the log in `dir` and writes it as a history.
///
/// # Errors
/// When the log is in use, its files cannot be read, or the history cannot be written. Damage is no
/// error: it is what is told.
pub fn salvage(dir: &Path, out: impl Write) -> Result<Salvaged, SalvageError> {
    if !dir.join("volumes").is_dir() {
        return Err(OpenError::NotALog.into());
    }
    let _lock = Lock::take_existing(dir)?;
    let mark = Mark::peek(dir);
    let mut sources = Vec::new();
    for path in files(dir)? {
        let opened = Source::open(&path);
        sources.push(opened.map_err(|source| SalvageError::Read { path, source })?);
    }
    let mut found = Found::default();
    for (number, source) in sources.iter().enumerate() {
        found.look_through(number, source);
    }
    let chosen = found.choose(mark.map(|(_, hash)| hash));
    let last = chosen.last_key_value().map_or(Seq(0), |(_, place)| place.last);
    let acknowledged = mark.map_or(Seq(0), |(last, _)| last);

    // Single events, where whole blocks are missing.
    let mut missing = Holes::default();
    let mut next = Seq(1);
    for (first, place) in &chosen {
        missing.add(next, *first);
        next = Seq(place.last.0 + 1);
    }
    missing.add(next, Seq(acknowledged.0.saturating_add(1)));
    let mut singles: BTreeMap<Seq, Record> = BTreeMap::new();
    if !missing.0.is_empty() {
        for source in &sources {
            single_events(source, &missing, &mut singles);
        }
    }
    let last = last.max(singles.keys().next_back().copied().unwrap_or(Seq(0)));
    let end = if last < acknowledged {
        End::Lost { last, acknowledged }
    } else if found.torn_after(last) {
        End::Torn { last }
    } else {
        End::Whole { last }
    };
    let holes = missing.without(&singles, last);
    let by_checksum = singles.len() as u64;
    let records = in_order(&sources, &chosen, singles);
    let events = write_history(out, &Header::default(), records)?;
    let unreadable = sources
        .iter()
        .flat_map(|source| source.lost().into_iter().map(|bytes| (source.path().to_owned(), bytes)))
        .collect();
    Ok(Salvaged { events, by_checksum, holes, unreadable, end })
}

/// The files that blocks may lie in, oldest volume first.
fn files(dir: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let io = |what| move |source| OpenError::Io { what, source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir.join("volumes")).map_err(io("list the volumes of"))? {
        let path = entry.map_err(io("list the volumes of"))?.path();
        let path = if path.is_dir() { path.join("db") } else { path };
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Where an intact block lies.
#[derive(Debug, Clone)]
struct Place {
    source: usize,
    /// Offsets of its parts; one when it lies in one piece.
    parts: Vec<u64>,
    length: usize,
    last: Seq,
    before: [u8; 32],
    hash: [u8; 32],
}

/// Everything that was found before it is put in order.
#[derive(Default)]
struct Found {
    /// Blocks by their first event. More than one when an older writing of a position is still there.
    blocks: BTreeMap<Seq, Vec<Place>>,
    /// First events of what looks like a block and is none.
    broken: BTreeSet<Seq>,
}

impl Found {
    fn look_through(&mut self, number: usize, source: &Source) {
        let mut heads = Vec::new();
        let mut parts: BTreeMap<(Seq, u16), Vec<u64>> = BTreeMap::new();
        source.in_pieces(block::HEADER_BYTES, |offset, piece, own| {
            for at in 0..own {
                match piece[at..].first_chunk::<4>() {
                    Some(&block::MAGIC) => heads.push(offset + at as u64),
                    Some(&PART_MAGIC) => {
                        if let Some(part) = part_at(&piece[at..]) {
                            parts.entry(part).or_default().push(offset + at as u64);
                        }
                    }
                    _ => {}
                }
            }
        });
        // A text in an event may look like a block; what is inside a whole one is none.
        let mut whole_until = 0;
        for offset in heads {
            if offset < whole_until {
                continue;
            }
            let header = source.read(offset, block::HEADER_BYTES);
            let Ok(announced) = block::announced(&header) else { continue };
            let (first, length) = (announced.first, announced.length);
            let whole = source.read(offset, length);
            let place = |parts: Vec<u64>, block: &Block| Place {
                source: number,
                parts,
                length,
                last: block.last(),
                before: block.before(),
                hash: block.hash(),
            };
            if let Ok(block) = Block::check(whole, first) {
                self.add(first, place(vec![offset], &block));
                whole_until = offset + length as u64;
                continue;
            }
            let mut offsets = vec![offset];
            for part in 1..length.div_ceil(PART_BYTES) {
                let known = u16::try_from(part).ok().and_then(|part| parts.get(&(first, part)));
                // The latest writing of a part is the likeliest to fit.
                offsets.extend(known.and_then(|known| known.last()));
            }
            let put_together = source.gather(&offsets, length);
            match Block::check(put_together, first) {
                Ok(block) => self.add(first, place(offsets, &block)),
                Err(_) => {
                    self.broken.insert(first);
                }
            }
        }
    }

    fn add(&mut self, first: Seq, place: Place) {
        let known = self.blocks.entry(first).or_default();
        if known.iter().all(|other| other.hash != place.hash) {
            known.push(place);
        }
    }

    /// One block for each position: the one that the chain goes on from, or the mark names.
    fn choose(&self, marked: Option<[u8; 32]>) -> BTreeMap<Seq, Place> {
        let linked: BTreeSet<[u8; 32]> =
            self.blocks.values().flatten().map(|place| place.before).chain(marked).collect();
        let mut chosen: BTreeMap<Seq, Place> = BTreeMap::new();
        for (first, places) in &self.blocks {
            let before = chosen.last_key_value().map(|(_, place)| place);
            // A leftover of an append that was tried again reaches into what was written later.
            if before.is_some_and(|before| *first <= before.last) {
                continue;
            }
            let follows = |place: &&Place| before.is_some_and(|before| place.before == before.hash);
            let is_linked = |place: &&Place| linked.contains(&place.hash);
            let best = places
                .iter()
                .find(|place| follows(place) && is_linked(place))
                .or_else(|| places.iter().find(is_linked))
                .or_else(|| places.iter().find(follows))
                .or_else(|| places.last());
            if let Some(place) = best {
                chosen.insert(*first, place.clone());
            }
        }
        chosen
    }

    fn torn_after(&self, last: Seq) -> bool {
        self.broken.iter().any(|first| *first > last)
    }
}

/// The block and the number of a part that begins here.
fn part_at(bytes: &[u8]) -> Option<(Seq, u16)> {
    let header = bytes.first_chunk::<PART_HEADER_BYTES>()?;
    let mut first = [0; 8];
    first.copy_from_slice(&header[4..12]);
    Some((Seq(u64::from_le_bytes(first)), u16::from_le_bytes([header[12], header[13]])))
}

/// Looks for frames of missing events anywhere in a file.
fn single_events(source: &Source, missing: &Holes, singles: &mut BTreeMap<Seq, Record>) {
    let mut places = Vec::new();
    source.in_pieces(HEADER_BYTES, |offset, piece, own| {
        for at in 0..own {
            let Some(header) = piece[at..].first_chunk::<HEADER_BYTES>() else { break };
            // Cheap tests first: nearly every byte fails them.
            if header[12..16] != [0; 4] || header[10] == 0 {
                continue;
            }
            let mut seq = [0; 8];
            seq.copy_from_slice(&header[16..24]);
            if missing.contains(Seq(u64::from_le_bytes(seq)))
                && let Ok(length) = frame::whole_len(header)
            {
                places.push((offset + at as u64, length));
            }
        }
    });
    for (offset, length) in places {
        let bytes = source.read(offset, length);
        if let Ok((frame, [])) = frame::split(&bytes)
            && frame.check().is_ok()
            && let Ok(record) = frame.record()
        {
            singles.insert(record.seq, record);
        }
    }
}

/// All records that came out, by position.
fn in_order<'a>(
    sources: &'a [Source],
    chosen: &'a BTreeMap<Seq, Place>,
    singles: BTreeMap<Seq, Record>,
) -> impl Iterator<Item = Result<Record, io::Error>> + 'a {
    let mut singles = singles.into_iter().peekable();
    let mut blocks = chosen.iter().peekable();
    let mut open: Option<(Block, Seq)> = None;
    std::iter::from_fn(move || {
        loop {
            if let Some((block, next)) = open.take() {
                if next <= block.last() {
                    let record = block.record(next).map_err(io::Error::other);
                    open = Some((block, Seq(next.0 + 1)));
                    return Some(record);
                }
                continue;
            }
            let first = blocks.peek().map(|(first, _)| **first);
            if let Some((_, record)) =
                singles.next_if(|(seq, _)| first.is_none_or(|first| *seq < first))
            {
                return Some(Ok(record));
            }
            let (first, place) = blocks.next()?;
            // It was whole a moment ago; a disk that fails now is an error.
            match Block::check(sources[place.source].gather(&place.parts, place.length), *first) {
                Ok(block) => open = Some((block, *first)),
                Err((_, damage)) => return Some(Err(io::Error::other(damage))),
            }
        }
    })
}

/// Positions without a block, as ascending ranges.
#[derive(Default)]
struct Holes(Vec<RangeInclusive<Seq>>);

impl Holes {
    /// Adds the positions from `first` up to, and without, `end`, which come after all others.
    fn add(&mut self, first: Seq, end: Seq) {
        if first < end {
            self.0.push(first..=Seq(end.0 - 1));
        }
    }

    fn contains(&self, seq: Seq) -> bool {
        let after = self.0.partition_point(|hole| *hole.start() <= seq);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|hole| hole.contains(&seq))
    }

    /// What remains when these came out, before `last`.
    fn without(&self, found: &BTreeMap<Seq, Record>, last: Seq) -> Vec<RangeInclusive<Seq>> {
        let mut left = Self::default();
        for hole in &self.0 {
            let mut next = *hole.start();
            for seq in found.range(hole.clone()).map(|(seq, _)| *seq) {
                left.add(next, seq);
                next = Seq(seq.0 + 1);
            }
            left.add(next, Seq(hole.end().0.min(last.0).saturating_add(1)));
        }
        left.0
    }
}
