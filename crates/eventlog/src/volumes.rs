//! The volumes of a log, as its writer and its readers share them: all but the last are sealed, or are
//! being sealed. What a volume is, is told by `journal`, `active` and `sealed`.
//!
//! ```text
//! volumes/<first, 20 digits>.wal    the journal of the volume that is appended to
//! volumes/<first, 20 digits>.sled   its store, which can be made anew from the journal
//! volumes/<first, 20 digits>.vol    a sealed volume: a journal with a tail
//! volumes/<first, 20 digits>.tmp    a copy of a volume that was not finished
//! volumes/spare                     what the next journal will lie in
//! ```

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use domain::Seq;

use crate::active::{self, Active, Start, sync_folder};
use crate::block::Block;
use crate::damage::Damage;
use crate::identity::LogId;
use crate::journal::{self, Journal};
use crate::log::OpenError;
use crate::reader::ReadError;
use crate::sealed::{SealError, Sealed, Window};
use crate::spare::{self, Spare};
use crate::store::{self, Store};
use crate::streams::Streams;

/// One volume. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Volume {
    Active(Arc<Active>),
    /// Sealed, or a journal that is read while its store is not there.
    Sealed(Arc<Sealed>),
}

impl Volume {
    pub(crate) fn start(&self) -> Start {
        match self {
            Self::Active(active) => active.start(),
            Self::Sealed(sealed) => sealed.start(),
        }
    }

    /// The block that holds `seq`, or an error that names what is missing.
    pub(crate) fn block_at(&self, seq: Seq, window: &mut Window) -> Result<Block, ReadError> {
        match self {
            Self::Sealed(sealed) if seq > sealed.last() => {
                Err(ReadError::Damaged { seq, damage: Damage::Missing })
            }
            Self::Sealed(sealed) => sealed.block_at(seq, window),
            Self::Active(active) => active.block_at(seq, window),
        }
    }
}

/// All volumes, by their first event.
pub(crate) struct Volumes {
    by_first: RwLock<BTreeMap<Seq, Volume>>,
}

/// The volumes of a log that was opened, and what its writer goes on from.
pub(crate) struct Opened {
    pub(crate) volumes: Volumes,
    pub(crate) journal: Journal,
    pub(crate) active: Arc<Active>,
    pub(crate) streams: Streams,
}

impl Volumes {
    /// The volume that holds, or would hold, `seq`.
    pub(crate) fn of(&self, seq: Seq) -> Option<Volume> {
        let by_first = self.by_first.read().unwrap_or_else(PoisonError::into_inner);
        by_first.range(..=seq).next_back().map(|(_, volume)| volume.clone())
    }

    /// All of them in order.
    pub(crate) fn all(&self) -> Vec<Volume> {
        let by_first = self.by_first.read().unwrap_or_else(PoisonError::into_inner);
        by_first.values().cloned().collect()
    }

    /// Adds a volume, or puts one in place of its earlier form.
    pub(crate) fn put(&self, volume: Volume) {
        let mut by_first = self.by_first.write().unwrap_or_else(PoisonError::into_inner);
        by_first.insert(volume.start().first, volume);
    }

    /// Seals a volume that nothing is appended to any more. Readers go on meanwhile.
    pub(crate) fn seal(
        &self,
        journal: Journal,
        active: &Active,
        streams: &Streams,
    ) -> Result<(), SealError> {
        self.put(Volume::Sealed(Arc::new(journal.seal(streams)?)));
        active.retire();
        Ok(())
    }

    /// Opens the store of the active volume anew and brings it in line with the journal, which is read
    /// meanwhile.
    pub(crate) fn reopen(&self, dir: &Path, journal: &Journal) -> Result<Arc<Active>, OpenError> {
        self.put(Volume::Sealed(Arc::new(journal.image().map_err(ReadError::Io)?)));
        let active = Arc::new(open_store(dir, journal)?);
        self.put(Volume::Active(Arc::clone(&active)));
        Ok(active)
    }

    /// Opens all volumes in `dir`, seals what was left unsealed, and begins a volume if none can be
    /// appended to.
    pub(crate) fn open(dir: &Path) -> Result<Opened, OpenError> {
        let io = |what| move |source| OpenError::Io { what, source };
        std::fs::create_dir_all(dir).map_err(io("create the volumes of"))?;
        sync_folder(dir).map_err(io("sync a folder of"))?;
        spare::remove(dir).map_err(io("remove a spare file of"))?;
        let found = find(dir)?;
        let newest = found.iter().rev().find(|(_, forms)| forms.is_any()).map(|(first, _)| *first);
        let volumes = Self { by_first: RwLock::default() };
        let mut at = Chain::default();
        let mut open = None;
        for (first, forms) in found {
            if let Some(path) = &forms.unfinished {
                std::fs::remove_file(path).map_err(io("remove an unfinished copy of"))?;
            }
            if let Some(path) = &forms.sealed {
                let (sealed, streams) = Sealed::open(path)?;
                at.admits(sealed.start(), first)?;
                at = Chain::of(&sealed, streams);
                volumes.put(Volume::Sealed(Arc::new(sealed)));
                forms.remove_store()?;
                continue;
            }
            if !forms.is_any() {
                continue;
            }
            let store = dir.join(store_name(first));
            let path = forms.journal.as_ref();
            // A store without its journal proves nothing.
            let path = path.ok_or(ReadError::Damaged { seq: first, damage: Damage::Missing })?;
            let is_newest = Some(first) == newest;
            match at.open_journal(path, first, is_newest.then_some(&*store))? {
                Some((journal, Some(active))) => {
                    let active = Arc::new(active);
                    volumes.put(Volume::Active(Arc::clone(&active)));
                    open = Some((journal, active));
                }
                Some((journal, None)) => {
                    let image = journal.image().map_err(ReadError::Io)?;
                    let sealed = match journal.seal(&at.streams) {
                        Err(SealError::Io(error)) if active::is_full_disk(&error) => image,
                        sealed => {
                            let sealed = sealed?;
                            forms.remove_store()?;
                            sealed
                        }
                    };
                    volumes.put(Volume::Sealed(Arc::new(sealed)));
                }
                None if is_newest => {
                    forms.remove_store()?;
                    std::fs::remove_file(path).map_err(io("remove an empty journal of"))?;
                }
                None => {
                    return Err(ReadError::Damaged { seq: first, damage: Damage::Missing }.into());
                }
            }
        }
        let (journal, active) = match open {
            Some(open) => open,
            None => {
                let identity = at.identity.unwrap_or_else(|| LogId::draw(dir));
                let before = if at.identity.is_some() { at.head } else { identity.chain_start() };
                let start = Start { identity, first: Seq(at.last.0 + 1), before };
                let (journal, active) = begin(dir, start, None)?;
                volumes.put(Volume::Active(Arc::clone(&active)));
                (journal, active)
            }
        };
        Ok(Opened { volumes, journal, active, streams: at.streams })
    }
}

/// Begins a volume; nothing of its name may be there.
pub(crate) fn begin(
    dir: &Path,
    start: Start,
    spare: Option<&mut Spare>,
) -> Result<(Journal, Arc<Active>), OpenError> {
    let io = |what| move |source| OpenError::Io { what, source };
    let (path, store) = (dir.join(journal_name(start.first)), dir.join(store_name(start.first)));
    // What an attempt on a full disk has left.
    if store.exists() {
        std::fs::remove_dir_all(&store).map_err(io("remove an empty store of"))?;
    }
    // A journal without its store is whole; a store without its journal proves nothing.
    let journal = Journal::create(&path, start, spare).map_err(io("begin a volume of"))?;
    let active = Active::new(&store, &journal, Store::open(&store)?)?;
    Ok((journal, Arc::new(active)))
}

/// The volumes of a log that is only read.
pub(crate) struct Found {
    pub(crate) volumes: Volumes,
    pub(crate) identity: LogId,
    pub(crate) last: Seq,
    pub(crate) head: [u8; 32],
}

impl Volumes {
    /// Opens the volumes in `dir` to read them, and changes nothing; `None` when there is none.
    pub(crate) fn read(dir: &Path) -> Result<Option<Found>, OpenError> {
        if !dir.is_dir() {
            return Ok(None);
        }
        let volumes = Self { by_first: RwLock::default() };
        let mut at = Chain::default();
        for (first, forms) in find(dir)? {
            let sealed = if let Some(path) = &forms.sealed {
                let (sealed, streams) = Sealed::open(path)?;
                at.admits(sealed.start(), first)?;
                at = Chain::of(&sealed, streams);
                Some(sealed)
            } else if let Some(path) = &forms.journal {
                at.read_journal(path, first)?
            } else {
                None
            };
            if let Some(sealed) = sealed {
                volumes.put(Volume::Sealed(Arc::new(sealed)));
            }
        }
        let Chain { identity, last, head, .. } = at;
        Ok(identity.map(|identity| Found { volumes, identity, last, head }))
    }
}

/// How far the volumes looked at reach.
#[derive(Default)]
struct Chain {
    identity: Option<LogId>,
    last: Seq,
    head: [u8; 32],
    streams: Streams,
}

impl Chain {
    fn of(sealed: &Sealed, streams: Streams) -> Self {
        Self {
            identity: Some(sealed.start().identity),
            last: sealed.last(),
            head: sealed.head(),
            streams,
        }
    }

    /// Fails when a volume does not go on where the one before it ended.
    fn admits(&self, start: Start, named: Seq) -> Result<(), ReadError> {
        let seq = Seq(self.last.0 + 1);
        if start.first != seq || named != seq {
            return Err(ReadError::Damaged { seq, damage: Damage::Missing });
        }
        let before = if self.identity.is_some() { self.head } else { start.identity.chain_start() };
        if self.identity.is_some_and(|identity| identity != start.identity)
            || start.before != before
        {
            return Err(ReadError::Damaged { seq, damage: Damage::Chain });
        }
        Ok(())
    }

    /// Opens a journal, and its store in `store` if it is to be appended to; `None` when nothing was
    /// ever written to it.
    fn open_journal(
        &mut self,
        path: &Path,
        named: Seq,
        store: Option<&Path>,
    ) -> Result<Option<(Journal, Option<Active>)>, OpenError> {
        self.admit_journal(path, named)?;
        let streams = &mut self.streams;
        let Some(journal) = Journal::open(path, |block| follow(streams, block))? else {
            return Ok(None);
        };
        self.pass(journal.end());
        let active = store.map(|store| open_store(store, &journal)).transpose()?;
        Ok(Some((journal, active)))
    }

    /// Reads a journal and changes nothing; `None` when nothing was ever written to it.
    fn read_journal(&mut self, path: &Path, named: Seq) -> Result<Option<Sealed>, OpenError> {
        self.admit_journal(path, named)?;
        let streams = &mut self.streams;
        let read = Journal::read(path, |block| follow(streams, block))?;
        if let Some(journal) = &read {
            self.pass(journal.end());
        }
        Ok(read)
    }

    /// Fails when a journal does not go on where the volume before it ended.
    fn admit_journal(&self, path: &Path, named: Seq) -> Result<(), OpenError> {
        match Journal::start(path)? {
            Some(start) => Ok(self.admits(start, named)?),
            None => Ok(()),
        }
    }

    fn pass(&mut self, end: &journal::End) {
        self.identity = Some(end.start.identity);
        (self.last, self.head) = (end.last, end.head);
    }
}

/// Opens the store of a journal and brings it in line. One that sled refuses is made anew: whatever was
/// in it is in the journal.
fn open_store(dir: &Path, journal: &Journal) -> Result<Active, OpenError> {
    // sled panics on some of what a power cut can leave, as it is never synced.
    let opened = catch_unwind(AssertUnwindSafe(|| in_line(dir, journal)));
    let refused = match opened {
        Ok(Err(OpenError::Store(error))) => !store::is_full(&error),
        Ok(opened) => return opened,
        Err(_) => true,
    };
    if refused {
        let io = |source| OpenError::Io { what: "remove a damaged store of", source };
        std::fs::remove_dir_all(dir).map_err(io)?;
    }
    in_line(dir, journal)
}

fn in_line(dir: &Path, journal: &Journal) -> Result<Active, OpenError> {
    let store = Store::open(dir)?;
    let mut values = 0;
    journal.blocks(|block| {
        values += u64::from(store::parts(block.bytes().len()));
        store.bring_in_line(block)
    })?;
    if !store.cut_after(journal.end().last, values)? {
        store.clear()?;
        journal.blocks(|block| store.bring_in_line(block))?;
    }
    Active::new(dir, journal, store)
}

fn follow(streams: &mut Streams, block: &Block) -> Result<(), OpenError> {
    let followed = streams.follow_block(block);
    Ok(followed.map_err(|(seq, damage)| ReadError::Damaged { seq, damage })?)
}

/// Where the forms of one volume lie.
#[derive(Default)]
struct Forms {
    journal: Option<PathBuf>,
    store: Option<PathBuf>,
    sealed: Option<PathBuf>,
    unfinished: Option<PathBuf>,
}

impl Forms {
    fn is_any(&self) -> bool {
        self.journal.is_some() || self.store.is_some() || self.sealed.is_some()
    }

    fn remove_store(&self) -> Result<(), OpenError> {
        let removed = self.store.as_ref().map_or(Ok(()), std::fs::remove_dir_all);
        removed.map_err(|source| OpenError::Io { what: "remove a sealed store of", source })
    }
}

fn find(dir: &Path) -> Result<BTreeMap<Seq, Forms>, OpenError> {
    let io = |what| move |source| OpenError::Io { what, source };
    let mut found: BTreeMap<Seq, Forms> = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(io("list the volumes of"))? {
        let path = entry.map_err(io("list the volumes of"))?.path();
        let first = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok().map(Seq));
        let Some(first) = first else { continue };
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending {
            "sled" => found.entry(first).or_default().store = Some(path),
            "vol" => found.entry(first).or_default().sealed = Some(path),
            "wal" => found.entry(first).or_default().journal = Some(path),
            "tmp" => found.entry(first).or_default().unfinished = Some(path),
            _ => {}
        }
    }
    Ok(found)
}

/// Name of the journal of the volume that begins with `first`.
fn journal_name(first: Seq) -> String {
    format!("{:020}.wal", first.0)
}

/// Name of the store of the volume that begins with `first`.
pub(crate) fn store_name(first: Seq) -> String {
    format!("{:020}.sled", first.0)
}

/// Name of the sealed volume that begins with `first`.
pub(crate) fn sealed_name(first: Seq) -> String {
    format!("{:020}.vol", first.0)
}
