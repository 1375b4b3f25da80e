//! Reads the log: only what is durable, in order, and never past damage. It cannot write.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use domain::{Envelope, Seq};

use crate::block::Block;
use crate::damage::Damage;
use crate::identity::LogId;
use crate::signal::Signal;
use crate::store;

/// Why events could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store refused.
    #[error("the store of the log could not be read")]
    Store(#[from] sled::Error),
    /// What is stored is not what was written.
    #[error("event {seq}: {damage}")]
    Damaged {
        /// The first event that cannot be trusted.
        seq: Seq,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// What [`Reader::verify`] has walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Events, all of which could be decoded.
    pub events: u64,
    /// Blocks, each following the one before.
    pub blocks: u64,
    /// BLAKE3 of the last block: stands for all before it. The chain's start when there is none.
    pub head: [u8; 32],
}

/// A view of the durable log. Cheap to clone, and may be used from any thread.
#[derive(Clone)]
pub struct Reader {
    blocks: sled::Tree,
    identity: LogId,
    durable: Arc<Signal>,
}

impl Reader {
    pub(crate) fn new(blocks: sled::Tree, identity: LogId, durable: Arc<Signal>) -> Self {
        Self { blocks, identity, durable }
    }

    /// Which log this is.
    #[must_use]
    pub fn identity(&self) -> LogId {
        self.identity
    }

    /// Position of the last durable event; zero when there is none.
    #[must_use]
    pub fn durable(&self) -> Seq {
        self.durable.position()
    }

    /// Blocks until an event beyond `seq` is durable or the time is up; the last durable position.
    #[must_use]
    pub fn wait_beyond(&self, seq: Seq, timeout: Duration) -> Seq {
        self.durable.wait_beyond(seq, timeout)
    }

    /// Calls `hook` with the last durable position after each append; see [`Signal::on_change`].
    pub fn on_durable(&self, hook: impl Fn(Seq) -> bool + Send + 'static) {
        self.durable.on_change(hook);
    }

    /// The event at `seq`; `None` when it is not durable yet, or is zero.
    ///
    /// # Errors
    /// When the store fails or the event is damaged.
    pub fn get(&self, seq: Seq) -> Result<Option<Envelope>, ReadError> {
        self.range(seq..=seq).next().transpose()
    }

    /// The durable events in `seqs`, read block by block. What becomes durable later is not seen.
    /// The first error is the last item.
    #[must_use]
    pub fn range(&self, seqs: RangeInclusive<Seq>) -> Events {
        let next = Seq(seqs.start().0.max(1));
        let last = (*seqs.end()).min(self.durable());
        Events { cursor: Cursor::new(self.clone()), next, last }
    }

    /// The events at the given ascending positions; positions that are not durable are left out.
    /// The first error is the last item. Cheap when many positions share a block.
    pub fn pick<I: IntoIterator<Item = Seq>>(&self, seqs: I) -> Picked<I::IntoIter> {
        Picked {
            cursor: Cursor::new(self.clone()),
            seqs: seqs.into_iter(),
            durable: self.durable(),
        }
    }

    /// Walks the whole durable log: every hash, link, checksum, position and event, and that there
    /// is nothing between the blocks.
    ///
    /// # Errors
    /// Names the first event that cannot be trusted.
    pub fn verify(&self) -> Result<Verified, ReadError> {
        let durable = self.durable();
        let mut verified = Verified { events: 0, blocks: 0, head: self.identity.chain_start() };
        // The key that comes next if nothing is missing and nothing is too much.
        let mut expected = (Seq(1), 0);
        let mut parts = 0;
        let mut after = Seq(1);
        for entry in self.blocks.iter().keys() {
            if expected.0 > durable {
                break;
            }
            let found = store::read_key(&entry?, expected.0)?;
            if found != expected {
                return Err(unexpected(found, expected));
            }
            if expected.1 == 0 {
                let block = self.block(expected.0)?;
                if block.before() != verified.head {
                    return Err(ReadError::Damaged { seq: expected.0, damage: Damage::Chain });
                }
                for seq in expected.0.0..=block.last().0 {
                    let damaged = |damage| ReadError::Damaged { seq: Seq(seq), damage };
                    block.envelope(Seq(seq)).map_err(damaged)?;
                }
                parts = store::parts(block.len());
                after = Seq(block.last().0 + 1);
                verified.events = block.last().0;
                verified.blocks += 1;
                verified.head = block.hash();
            }
            let part = expected.1 + 1;
            expected = if part < parts { (expected.0, part) } else { (after, 0) };
        }
        if expected.0 <= durable {
            return Err(ReadError::Damaged { seq: expected.0, damage: Damage::Missing });
        }
        Ok(verified)
    }

    /// The block that begins with `first`, checked to follow the one before it.
    pub(crate) fn linked_block(
        blocks: &sled::Tree,
        identity: LogId,
        first: Seq,
    ) -> Result<Block, ReadError> {
        let missing = |seq| ReadError::Damaged { seq, damage: Damage::Missing };
        let block = store::block_from(blocks, first)?.ok_or_else(|| missing(first))?;
        let before = match first.0 {
            0 => return Err(ReadError::Damaged { seq: first, damage: Damage::StrayKey }),
            1 => identity.chain_start(),
            _ => {
                let before = Seq(first.0 - 1);
                let start = store::first_of(blocks, before)?.ok_or_else(|| missing(Seq(1)))?;
                let block = store::block_from(blocks, start)?.ok_or_else(|| missing(start))?;
                if block.last() != before {
                    return Err(missing(Seq(block.last().0 + 1)));
                }
                block.hash()
            }
        };
        if block.before() == before {
            Ok(block)
        } else {
            Err(ReadError::Damaged { seq: first, damage: Damage::Chain })
        }
    }

    fn block(&self, first: Seq) -> Result<Block, ReadError> {
        store::block_from(&self.blocks, first)?
            .ok_or(ReadError::Damaged { seq: first, damage: Damage::Missing })
    }
}

fn unexpected(found: (Seq, u16), expected: (Seq, u16)) -> ReadError {
    if found < expected {
        return ReadError::Damaged { seq: found.0, damage: Damage::StrayKey };
    }
    let damage = match expected.1 {
        0 => Damage::Missing,
        part => Damage::PartMissing(part),
    };
    ReadError::Damaged { seq: expected.0, damage }
}

/// Keeps the block last read, so that neighbours cost one read together.
struct Cursor {
    reader: Reader,
    block: Option<Block>,
}

impl Cursor {
    fn new(reader: Reader) -> Self {
        Self { reader, block: None }
    }

    /// The event at `seq`, which must be durable and not before the one asked for last.
    fn read(&mut self, seq: Seq) -> Result<Envelope, ReadError> {
        let block = match self.block.take() {
            Some(block) if (block.first()..=block.last()).contains(&seq) => block,
            Some(block) if Some(seq.0) == block.last().0.checked_add(1) => {
                let next = self.reader.block(seq)?;
                if next.before() != block.hash() {
                    return Err(ReadError::Damaged { seq, damage: Damage::Chain });
                }
                next
            }
            _ => {
                let missing = ReadError::Damaged { seq, damage: Damage::Missing };
                let first = store::first_of(&self.reader.blocks, seq)?.ok_or(missing)?;
                let block = self.reader.block(first)?;
                if first == Seq(1) && block.before() != self.reader.identity.chain_start() {
                    return Err(ReadError::Damaged { seq: first, damage: Damage::Chain });
                }
                if block.last() < seq {
                    let seq = Seq(block.last().0 + 1);
                    return Err(ReadError::Damaged { seq, damage: Damage::Missing });
                }
                block
            }
        };
        let damaged = |damage| ReadError::Damaged { seq, damage };
        self.block.insert(block).envelope(seq).map_err(damaged)
    }
}

/// Events of a range; see [`Reader::range`].
pub struct Events {
    cursor: Cursor,
    next: Seq,
    last: Seq,
}

impl Iterator for Events {
    type Item = Result<Envelope, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.last {
            return None;
        }
        let read = self.cursor.read(self.next);
        match (&read, self.next.0.checked_add(1)) {
            (Ok(_), Some(next)) => self.next = Seq(next),
            _ => self.last = Seq(0),
        }
        Some(read)
    }
}

/// Events at chosen positions; see [`Reader::pick`].
pub struct Picked<I> {
    cursor: Cursor,
    seqs: I,
    durable: Seq,
}

impl<I: Iterator<Item = Seq>> Iterator for Picked<I> {
    type Item = Result<Envelope, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let seq = self.seqs.find(|seq| seq.0 > 0 && *seq <= self.durable)?;
        let read = self.cursor.read(seq);
        if read.is_err() {
            // Nothing is durable any more for this iterator: it ends here.
            self.durable = Seq(0);
        }
        Some(read)
    }
}
