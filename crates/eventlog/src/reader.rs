//! Reads the log: only what is durable, in order, and never past damage. It cannot write.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::{Envelope, Seq};

use crate::ahead::Ahead;
use crate::block::Block;
use crate::damage::Damage;
use crate::identity::LogId;
use crate::lock::Lock;
use crate::record::Record;
use crate::sealed::Window;
use crate::signal::Signal;
use crate::volumes::{Volume, Volumes};

/// Why events could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store refused.
    #[error("the store of the log could not be read")]
    Store(#[from] sled::Error),
    /// The file system refused.
    #[error("a file of the log could not be read")]
    Io(#[from] io::Error),
    /// A sealed volume says nothing that can be trusted about itself.
    #[error("the sealed volume {}: {damage}", path.display())]
    Volume {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
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
    /// Events.
    pub events: u64,
    /// Events of a type or version that this program does not know.
    pub unknown: u64,
    /// Blocks, each following the one before.
    pub blocks: u64,
    /// Volumes, sealed or not.
    pub volumes: u64,
    /// Bytes of all blocks.
    pub bytes: u64,
    /// BLAKE3 of the last block: stands for all before it. The chain's start when there is none.
    pub head: [u8; 32],
}

/// A view of the durable log. Cheap to clone, and may be used from any thread.
#[derive(Clone)]
pub struct Reader {
    volumes: Arc<Volumes>,
    identity: LogId,
    durable: Arc<Signal>,
    // Whoever reads must not be overtaken by another program that writes.
    _lock: Option<Arc<Lock>>,
    waits: Arc<AtomicBool>,
}

impl Reader {
    pub(crate) fn new(
        volumes: Arc<Volumes>,
        identity: LogId,
        durable: Arc<Signal>,
        lock: Option<Arc<Lock>>,
        waits: Arc<AtomicBool>,
    ) -> Self {
        Self { volumes, identity, durable, _lock: lock, waits }
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

    /// Whether the writer takes nothing until there is space on the disk.
    #[must_use]
    pub fn waits_for_space(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
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
        Events(self.cursor(seqs))
    }

    /// The same with all that is stored of each event, whether or not this program understands it.
    #[must_use]
    pub fn records(&self, seqs: RangeInclusive<Seq>) -> Records {
        Records(self.cursor(seqs))
    }

    fn cursor(&self, seqs: RangeInclusive<Seq>) -> Stretch {
        let next = Seq(seqs.start().0.max(1));
        let last = (*seqs.end()).min(self.durable());
        Stretch { cursor: Cursor::new(self.clone()), next, last }
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

    /// Blocks in order from the first to the one that ends with `last`. The first error is the last.
    pub(crate) fn blocks(&self, last: Seq) -> Blocks {
        Blocks { cursor: Cursor::new(self.clone()), next: Seq(1), durable: last }
    }

    pub(crate) fn volumes(&self) -> Vec<Volume> {
        self.volumes.all()
    }

    /// Walks the whole durable log: every hash, link, checksum, position and event, and that there
    /// is nothing between the blocks.
    ///
    /// # Errors
    /// Names the first event that cannot be trusted.
    pub fn verify(&self) -> Result<Verified, ReadError> {
        let durable = self.durable();
        let mut verified = Verified {
            events: 0,
            unknown: 0,
            blocks: 0,
            volumes: 0,
            bytes: 0,
            head: self.identity.chain_start(),
        };
        let mut volumes = self.volumes.all().into_iter().peekable();
        while let Some(volume) = volumes.next() {
            if verified.events >= durable.0 {
                break;
            }
            verified.volumes += 1;
            match &volume {
                Volume::Active(active) => {
                    // A full one may not be sealed yet.
                    let last = volumes.peek().map_or(durable, |next| Seq(next.start().first.0 - 1));
                    for block in active.walk(last.min(durable)) {
                        verified.take(&block?)?;
                    }
                }
                Volume::Sealed(sealed) => {
                    let before = verified.blocks;
                    let mut window = Window::default();
                    while verified.events < sealed.last().0 {
                        let next = Seq(verified.events + 1);
                        verified.take(&sealed.block_at(next, &mut window)?)?;
                    }
                    let whole = verified.head == sealed.head()
                        && verified.blocks - before == sealed.blocks()
                        && verified.events == sealed.last().0;
                    if !whole {
                        let path = sealed.path().to_owned();
                        let damage = Damage::Header("it does not end as its tail says");
                        return Err(ReadError::Volume { path, damage });
                    }
                }
            }
        }
        if verified.events < durable.0 {
            let seq = Seq(verified.events + 1);
            return Err(ReadError::Damaged { seq, damage: Damage::Missing });
        }
        Ok(verified)
    }
}

impl Verified {
    /// Takes the next block in, or says what is wrong with it.
    fn take(&mut self, block: &Block) -> Result<(), ReadError> {
        let damaged = |seq, damage| ReadError::Damaged { seq, damage };
        let first = Seq(self.events + 1);
        if block.first() != first {
            return Err(damaged(first, Damage::Missing));
        }
        if block.before() != self.head {
            return Err(damaged(first, Damage::Chain));
        }
        block.check_sums().map_err(|(seq, damage)| damaged(seq, damage))?;
        for seq in first.0..=block.last().0 {
            match block.envelope(Seq(seq)) {
                Ok(_) => {}
                Err(Damage::UnknownEvent { .. }) => self.unknown += 1,
                Err(damage) => return Err(damaged(Seq(seq), damage)),
            }
        }
        self.events = block.last().0;
        self.blocks += 1;
        self.bytes += block.bytes().len() as u64;
        self.head = block.hash();
        Ok(())
    }
}

/// Keeps the block last read, so that neighbours cost one read together.
struct Cursor {
    reader: Reader,
    block: Option<Block>,
    /// Last event and hash of the block read last.
    before: Option<(Seq, [u8; 32])>,
    window: Window,
    /// First event of the volume that the window is of.
    volume: Option<Seq>,
    /// Blocks that followed each other until now.
    in_order: u32,
    ahead: Option<Ahead>,
    /// Whether it is the one who reads ahead.
    is_alone: bool,
}

/// Whoever has read so many blocks in order is likely to go on.
const LIKELY: u32 = 64;

impl Cursor {
    fn new(reader: Reader) -> Self {
        let (window, volume) = (Window::default(), None);
        Self {
            reader,
            block: None,
            before: None,
            window,
            volume,
            in_order: 0,
            ahead: None,
            is_alone: false,
        }
    }

    /// The block that holds `seq`, which must be durable.
    fn block(&mut self, seq: Seq) -> Result<&Block, ReadError> {
        let block = match self.block.take() {
            Some(block) if (block.first()..=block.last()).contains(&seq) => block,
            _ => {
                let before = self.before.filter(|(last, _)| last.0 + 1 == seq.0);
                let is_next = before.is_some();
                self.in_order = if is_next { self.in_order.saturating_add(1) } else { 0 };
                let block = match self.read_ahead(seq) {
                    Some(block) => block,
                    None => self.read(seq)?,
                };
                // Whoever read it has compared it with the volume that it begins.
                if before.is_some_and(|(_, hash)| block.first() == seq && block.before() != hash) {
                    return Err(ReadError::Damaged { seq, damage: Damage::Chain });
                }
                self.before = Some((block.last(), block.hash()));
                block
            }
        };
        Ok(self.block.insert(block))
    }

    /// The block that holds `seq`, if it was read ahead. What could not be is read again, to say why.
    fn read_ahead(&mut self, seq: Seq) -> Option<Block> {
        if self.is_alone || self.in_order < LIKELY {
            self.ahead = None;
            return None;
        }
        if self.in_order == LIKELY {
            let last = self.reader.durable();
            self.ahead = Ahead::begin(Blocks::alone(self.reader.clone(), seq, last));
        }
        let block = self.ahead.as_mut()?.next(seq).and_then(Result::ok);
        if block.is_none() {
            (self.ahead, self.in_order) = (None, 0);
        }
        block
    }

    fn read(&mut self, seq: Seq) -> Result<Block, ReadError> {
        let missing = ReadError::Damaged { seq, damage: Damage::Missing };
        let volume = self.reader.volumes.of(seq).ok_or(missing)?;
        let start = volume.start();
        if self.volume.replace(start.first) != Some(start.first) {
            self.window.clear();
        }
        let block = volume.block_at(seq, &mut self.window)?;
        if block.first() == start.first && block.before() != start.before {
            return Err(ReadError::Damaged { seq: start.first, damage: Damage::Chain });
        }
        Ok(block)
    }

    fn envelope(&mut self, seq: Seq) -> Result<Envelope, ReadError> {
        let damaged = |damage| ReadError::Damaged { seq, damage };
        self.block(seq)?.envelope(seq).map_err(damaged)
    }

    fn record(&mut self, seq: Seq) -> Result<Record, ReadError> {
        let damaged = |damage| ReadError::Damaged { seq, damage };
        self.block(seq)?.record(seq).map_err(damaged)
    }
}

/// Positions that are read one after another.
struct Stretch {
    cursor: Cursor,
    next: Seq,
    last: Seq,
}

impl Stretch {
    fn next<T>(
        &mut self,
        read: impl FnOnce(&mut Cursor, Seq) -> Result<T, ReadError>,
    ) -> Option<Result<T, ReadError>> {
        if self.next > self.last {
            return None;
        }
        let read = read(&mut self.cursor, self.next);
        match (&read, self.next.0.checked_add(1)) {
            (Ok(_), Some(next)) => self.next = Seq(next),
            _ => self.last = Seq(0),
        }
        Some(read)
    }
}

/// Events of a range; see [`Reader::range`].
pub struct Events(Stretch);

impl Iterator for Events {
    type Item = Result<Envelope, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Cursor::envelope)
    }
}

/// Records of a range; see [`Reader::records`].
pub struct Records(Stretch);

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Cursor::record)
    }
}

/// Blocks from the first on; see [`Reader::blocks`].
pub(crate) struct Blocks {
    cursor: Cursor,
    next: Seq,
    durable: Seq,
}

impl Blocks {
    /// Blocks from `next` to the one that ends with `durable`, with nobody who reads ahead.
    fn alone(reader: Reader, next: Seq, durable: Seq) -> Self {
        let mut cursor = Cursor::new(reader);
        cursor.is_alone = true;
        Self { cursor, next, durable }
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.durable {
            return None;
        }
        let read = self.cursor.block(self.next).map(Block::last);
        let block = read.map(|last| {
            self.next = Seq(last.0 + 1);
            self.cursor.block.take().expect("it was read just now")
        });
        if block.is_err() {
            self.durable = Seq(0);
        }
        Some(block)
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
        let read = self.cursor.envelope(seq);
        if read.is_err() {
            // Nothing is durable any more for this iterator: it ends here.
            self.durable = Seq(0);
        }
        Some(read)
    }
}
