//! The volume that is appended to, as readers see it: its blocks are in the `store`, or on their way there
//! with the `filler`. What makes them durable is the `journal`, which is read when the store refuses; when
//! the volume is full, the store is removed.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::Seq;

use crate::block::Block;
use crate::damage::Damage;
use crate::filler::Filler;
use crate::identity::LogId;
use crate::journal::Journal;
use crate::log::OpenError;
use crate::reader::ReadError;
use crate::sealed::{Sealed, Window};
use crate::store::{Keys, Store, parts};

/// What a volume is a part of, and where it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// The log it belongs to.
    pub(crate) identity: LogId,
    /// Position of its first event.
    pub(crate) first: Seq,
    /// Hash of the block before its first one.
    pub(crate) before: [u8; 32],
}

/// An open volume.
pub(crate) struct Active {
    // Taken when it is dropped, so that sled has let go before the folder is removed.
    open: Option<Open>,
    dir: PathBuf,
    start: Start,
    journal: File,
    /// The journal as it was read last, once the store refused.
    instead: Mutex<Option<Arc<Sealed>>>,
    retired: AtomicBool,
}

struct Open {
    // Dropped first: its thread has the store in hand.
    filler: Filler,
    store: Arc<Store>,
}

impl Active {
    /// The volume of this journal, whose store is in `dir` and holds everything that the journal holds.
    pub(crate) fn new(dir: &Path, journal: &Journal, store: Store) -> Result<Self, OpenError> {
        let store = Arc::new(store);
        let filled = Arc::clone(&store);
        let filler = Filler::start(move |blocks| filled.put(blocks));
        let filler =
            filler.map_err(|source| OpenError::Io { what: "start a thread of", source })?;
        Ok(Self {
            open: Some(Open { filler, store }),
            dir: dir.into(),
            start: journal.end().start,
            journal: journal.file().try_clone().map_err(ReadError::Io)?,
            instead: Mutex::default(),
            retired: AtomicBool::new(false),
        })
    }

    pub(crate) fn start(&self) -> Start {
        self.start
    }

    /// Returns when it takes more blocks, or why it never will.
    pub(crate) fn wait_for_room(&self) -> Result<(), sled::Error> {
        self.open().filler.wait_for_room()
    }

    /// Takes the blocks of a commit, which are durable.
    pub(crate) fn push(&self, blocks: Vec<(Seq, Vec<u8>)>) {
        self.open().filler.push(blocks);
    }

    /// The block that holds `seq`, or an error that names what is missing.
    pub(crate) fn block_at(&self, seq: Seq, window: &mut Window) -> Result<Block, ReadError> {
        // In this order: what is no longer on its way is there.
        if let Some((first, bytes)) = self.open().filler.block_at(seq) {
            let block = Block::check(bytes.to_vec(), first);
            let block = block.map_err(|(seq, damage)| ReadError::Damaged { seq, damage })?;
            return block.reaching(seq);
        }
        match self.open().store.block_at(seq) {
            // sled refuses all work after it failed once, on a full disk for one.
            Err(ReadError::Store(_)) => self.instead(seq)?.block_at(seq, window),
            block => block?.reaching(seq),
        }
    }

    /// The journal as far as `seq`, which is durable.
    fn instead(&self, seq: Seq) -> Result<Arc<Sealed>, ReadError> {
        let mut instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner);
        match &*instead {
            Some(journal) if journal.last() >= seq => Ok(Arc::clone(journal)),
            _ => {
                let path = self.dir.with_extension("wal");
                let journal = Journal::read_open(&self.journal, &path, seq)?;
                let journal = journal.map(Arc::new);
                let missing = ReadError::Damaged { seq, damage: Damage::Missing };
                instead.clone_from(&journal);
                journal.filter(|journal| journal.last() >= seq).ok_or(missing)
            }
        }
    }

    /// Every block up to `last` in order, each following the one before it, with nothing between them.
    pub(crate) fn walk(&self, last: Seq) -> Walk<'_> {
        Walk {
            active: self,
            last,
            window: Window::default(),
            keys: Some(self.open().store.keys()),
            expected: (self.start.first, 0),
            parts: 0,
            after: self.start.first,
            before: self.start.before,
        }
    }

    /// Bytes of its files.
    pub(crate) fn file_bytes(&self) -> Result<u64, ReadError> {
        Ok(self.journal.metadata()?.len() + self.open().store.file_bytes()?)
    }

    /// Lets the folder be removed once nobody reads from it any more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.open().filler.abandon();
    }

    fn open(&self) -> &Open {
        self.open.as_ref().expect("it is taken only when dropped")
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let open = self.open.take();
        // sled syncs once more, and panics when it cannot. The journal holds all that it was about.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(open)));
        if *self.retired.get_mut() {
            // Opening the log finds what is left beside its sealed form and removes it then.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Blocks of a volume in order; see [`Active::walk`]. The first error is the last item.
pub(crate) struct Walk<'a> {
    active: &'a Active,
    last: Seq,
    window: Window,
    /// `None` when the store was walked to its end, and what comes then was on its way there, or when
    /// sled refuses.
    keys: Option<Keys>,
    /// The key that comes next if nothing is missing and nothing is too much.
    expected: (Seq, u16),
    parts: u16,
    after: Seq,
    before: [u8; 32],
}

impl Walk<'_> {
    fn step(&mut self) -> Result<Option<Block>, ReadError> {
        while let Some(keys) = &mut self.keys {
            let (seq, part) = self.expected;
            let found = match keys.next(seq) {
                // The journal has the blocks, and what a store that refuses has between them is moot.
                Err(ReadError::Store(_)) => {
                    self.keys = None;
                    self.expected = if part > 0 { (self.after, 0) } else { self.expected };
                    continue;
                }
                found => found?,
            };
            match found {
                Some(found) if found != self.expected => {
                    return Err(unexpected(found, self.expected));
                }
                Some(_) if part > 0 => self.pass(part),
                Some(_) => break,
                None if part > 0 => {
                    return Err(ReadError::Damaged { seq, damage: Damage::PartMissing(part) });
                }
                None => self.keys = None,
            }
        }
        if self.expected.0 > self.last { Ok(None) } else { self.block().map(Some) }
    }

    /// The block that comes next.
    fn block(&mut self) -> Result<Block, ReadError> {
        let (first, _) = self.expected;
        let block = self.active.block_at(first, &mut self.window)?;
        if block.before() != self.before {
            return Err(ReadError::Damaged { seq: first, damage: Damage::Chain });
        }
        self.before = block.hash();
        self.after = Seq(block.last().0 + 1);
        // Whoever follows what was on its way meets no parts.
        self.parts = if self.keys.is_some() { parts(block.bytes().len()) } else { 1 };
        self.pass(0);
        Ok(block)
    }

    fn pass(&mut self, part: u16) {
        let next = part + 1;
        self.expected = if next < self.parts { (self.expected.0, next) } else { (self.after, 0) };
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Block, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
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

/// Whether the file system failed for want of space.
pub(crate) fn is_full_disk(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
