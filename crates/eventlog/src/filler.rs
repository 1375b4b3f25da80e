//! Puts blocks into the store beside the writer's work: when it rests, or when many are waiting. Blocks are
//! durable in the journal before they come here, so nobody waits for the store; until it has them,
//! readers find them in memory. What the store is, is `store`'s.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use domain::Seq;

use crate::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, thread};

/// Bytes put at once: sled wakes its threads at every batch, and takes four times as much per second in
/// large ones.
const BATCH_BYTES: usize = 1024 * 1024;

/// While the writer is busy this much is held back. The store needs the disk that appends wait for, and
/// what is held when the volume is full need not be put at all.
const HELD_BYTES: usize = 32 * 1024 * 1024;

/// Blocks held back: putting small ones costs by the block, and opening may have to.
const HELD_BLOCKS: usize = 4096;

/// The writer rests when nothing came for so long.
const REST: Duration = Duration::from_millis(20);

/// The writer waits when so many bytes are on their way.
pub(crate) const PENDING_MOST: usize = 48 * 1024 * 1024;

/// A block by its first event, as its writer made it.
pub(crate) type Written = (Seq, Arc<Vec<u8>>);

/// The blocks on their way, and the thread that takes them there.
pub(crate) struct Filler {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    /// There is enough to be put, or it is the end.
    due: Condvar,
    /// Blocks were put, or never will be.
    put: Condvar,
}

#[derive(Default)]
struct Pending {
    blocks: BTreeMap<Seq, Arc<Vec<u8>>>,
    bytes: usize,
    /// Number of times that blocks came.
    pushes: u64,
    /// Why nothing is put any more.
    fault: Option<sled::Error>,
    until: Until,
}

/// How long blocks are put.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// As they come.
    #[default]
    Told,
    /// What is pending is put, and nothing comes any more.
    Empty,
    /// Nobody needs them there any more.
    Now,
}

impl Filler {
    /// Begins to hand blocks to `put`, in order and many at once.
    pub(crate) fn start(
        put: impl FnMut(&[Written]) -> Result<(), sled::Error> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let filling = Arc::clone(&shared);
        let thread = thread::Builder::new().name("fill".into()).spawn(move || filling.run(put))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Returns when there is room for more, or why there never will be.
    pub(crate) fn wait_for_room(&self) -> Result<(), sled::Error> {
        let mut pending = self.shared.lock();
        loop {
            if let Some(fault) = &pending.fault {
                return Err(fault.clone());
            }
            if pending.bytes < PENDING_MOST {
                return Ok(());
            }
            pending = self.shared.put.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the blocks that come next.
    pub(crate) fn push(&self, blocks: Vec<(Seq, Vec<u8>)>) {
        let mut pending = self.shared.lock();
        let (was_empty, was_held) = (pending.blocks.is_empty(), pending.is_held());
        pending.pushes += 1;
        for (first, bytes) in blocks {
            pending.bytes += bytes.len();
            pending.blocks.insert(first, Arc::new(bytes));
        }
        // It looks by itself meanwhile.
        if was_empty || was_held && !pending.is_held() {
            self.shared.due.notify_one();
        }
    }

    /// The block that holds `seq`, or would hold it if nothing is missing, if it is on its way. What is
    /// durable and not on its way is in the store.
    pub(crate) fn block_at(&self, seq: Seq) -> Option<Written> {
        let pending = self.shared.lock();
        let (first, block) = pending.blocks.range(..=seq).next_back()?;
        Some((*first, Arc::clone(block)))
    }

    /// Lets it end without putting what is pending, which stays readable.
    pub(crate) fn abandon(&self) {
        self.end(Until::Now);
    }

    fn end(&self, until: Until) {
        self.shared.lock().until = until;
        self.shared.due.notify_one();
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        if self.shared.lock().until == Until::Told {
            self.end(Until::Empty);
        }
        // A panic of its thread leaves a store that opening brings in line.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

impl Shared {
    fn run(&self, mut put: impl FnMut(&[Written]) -> Result<(), sled::Error>) {
        while let Some(batch) = self.next() {
            // sled panics now and then where it should fail.
            let done = catch_unwind(AssertUnwindSafe(|| put(&batch)));
            let done =
                done.unwrap_or_else(|_| Err(sled::Error::ReportableBug("it panicked".into())));
            let mut pending = self.lock();
            match done {
                Ok(()) => pending.forget(&batch),
                Err(fault) => pending.fault = Some(fault),
            }
            let is_over = pending.fault.is_some();
            drop(pending);
            self.put.notify_all();
            if is_over {
                break;
            }
        }
    }

    /// The blocks to put next; `None` at the end.
    fn next(&self) -> Option<Vec<Written>> {
        let mut pending = self.lock();
        loop {
            let is_empty = pending.blocks.is_empty();
            match pending.until {
                Until::Now => return None,
                Until::Empty if is_empty => return None,
                Until::Empty => return Some(pending.batch()),
                Until::Told if !is_empty && !pending.is_held() => return Some(pending.batch()),
                Until::Told if is_empty => {
                    pending = self.due.wait(pending).unwrap_or_else(PoisonError::into_inner);
                }
                Until::Told => {
                    let pushes = pending.pushes;
                    let waited = self.due.wait_timeout(pending, REST);
                    pending = waited.unwrap_or_else(PoisonError::into_inner).0;
                    if pending.pushes == pushes && pending.until != Until::Now {
                        return Some(pending.batch());
                    }
                }
            }
        }
    }

    // Nothing that may panic is done while it is locked.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn is_held(&self) -> bool {
        self.bytes < HELD_BYTES && self.blocks.len() < HELD_BLOCKS
    }

    fn batch(&self) -> Vec<Written> {
        let mut bytes = 0;
        let blocks = self.blocks.iter().take_while(|(_, block)| {
            let is_within = bytes < BATCH_BYTES;
            bytes += block.len();
            is_within
        });
        blocks.map(|(first, block)| (*first, Arc::clone(block))).collect()
    }

    fn forget(&mut self, batch: &[Written]) {
        for (first, block) in batch {
            self.blocks.remove(first);
            self.bytes -= block.len();
        }
    }
}
