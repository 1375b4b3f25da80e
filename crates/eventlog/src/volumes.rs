//! The volumes of a log, as its writer and its readers share them: all but the last are sealed, or are
//! being sealed. What a volume is, is told by `active` and `sealed`.
//!
//! ```text
//! volumes/<first, 20 digits>.sled   a store that is, or was, appended to
//! volumes/<first, 20 digits>.vol    its sealed form; where both are, the store is what remains to be removed
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use domain::Seq;

use crate::active::{Active, Start, sync_folder};
use crate::block::Block;
use crate::damage::Damage;
use crate::identity::LogId;
use crate::log::OpenError;
use crate::reader::ReadError;
use crate::sealed::{self, SealError, Sealed, Window};
use crate::streams::Streams;

/// One volume. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Volume {
    Active(Arc<Active>),
    Sealed(Arc<Sealed>),
    /// Closed for a moment, to be opened anew.
    Away(Start),
}

impl Volume {
    pub(crate) fn start(&self) -> Start {
        match self {
            Self::Active(active) => active.start(),
            Self::Sealed(sealed) => sealed.start(),
            Self::Away(start) => *start,
        }
    }

    /// The block that holds `seq`, or an error that names what is missing.
    pub(crate) fn block_at(&self, seq: Seq, window: &mut Window) -> Result<Block, ReadError> {
        let missing = |seq| ReadError::Damaged { seq, damage: Damage::Missing };
        match self {
            Self::Away(_) => Err(ReadError::Away),
            Self::Sealed(sealed) if seq > sealed.last() => Err(missing(seq)),
            Self::Sealed(sealed) => sealed.block_at(seq, window),
            Self::Active(active) => {
                let first = active.first_of(seq)?.ok_or_else(|| missing(seq))?;
                let block = active.block_from(first)?.ok_or_else(|| missing(first))?;
                if block.last() < seq {
                    return Err(missing(Seq(block.last().0 + 1)));
                }
                Ok(block)
            }
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
    pub(crate) active: Arc<Active>,
    pub(crate) streams: Streams,
    pub(crate) last: Seq,
    pub(crate) head: [u8; 32],
    /// Bytes of blocks in the active volume.
    pub(crate) bytes: u64,
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

    /// Opens the store of the active volume anew, once nobody reads from it any more.
    pub(crate) fn reopen(&self, start: Start, dir: &Path) -> Result<Arc<Active>, OpenError> {
        self.put(Volume::Away(start));
        let opened = Active::open(dir)?.ok_or(OpenError::NotALog)?;
        let opened = Arc::new(opened);
        self.put(Volume::Active(Arc::clone(&opened)));
        Ok(opened)
    }

    /// Seals a volume that nothing is appended to any more. Readers go on meanwhile.
    pub(crate) fn seal(&self, active: &Active, streams: &Streams) -> Result<(), SealError> {
        let path = active.dir().with_extension("vol");
        sealed::write(&path, active.start(), active.walk(), streams)?;
        let (sealed, _) = Sealed::open(&path)?;
        self.put(Volume::Sealed(Arc::new(sealed)));
        active.retire();
        Ok(())
    }

    /// Opens all volumes in `dir`, seals what was left unsealed, and begins a volume if none can be
    /// appended to.
    pub(crate) fn open(dir: &Path) -> Result<Opened, OpenError> {
        let io = |what| move |source| OpenError::Io { what, source };
        std::fs::create_dir_all(dir).map_err(io("create the volumes of"))?;
        sync_folder(dir).map_err(io("sync a folder of"))?;
        let mut found = find(dir)?;
        let whole = |forms: &Forms| forms.store.is_some() || forms.sealed.is_some();
        let newest = found.iter().rev().find(|(_, forms)| whole(forms)).map(|(first, _)| *first);
        let volumes = Self { by_first: RwLock::default() };
        let mut at = End::default();
        let mut active = None;
        while let Some((first, forms)) = found.pop_first() {
            if let Some(path) = forms.unfinished {
                std::fs::remove_file(path).map_err(io("remove an unfinished volume of"))?;
            }
            if let Some(path) = forms.sealed {
                if let Some(store) = forms.store {
                    remove(&store)?;
                }
                let (sealed, streams) = Sealed::open(&path)?;
                at.admits(sealed.start(), first)?;
                at = End::of(&sealed, streams);
                volumes.put(Volume::Sealed(Arc::new(sealed)));
                continue;
            }
            let Some(store) = forms.store else { continue };
            let Some(opened) = Active::open(&store)? else {
                if Some(first) != newest {
                    return Err(ReadError::Damaged { seq: first, damage: Damage::Missing }.into());
                }
                remove(&store)?;
                continue;
            };
            at.admits(opened.start(), first)?;
            at.walk(&opened)?;
            let opened = Arc::new(opened);
            volumes.put(Volume::Active(Arc::clone(&opened)));
            if Some(first) == newest {
                active = Some(opened);
            } else {
                volumes.seal(&opened, &at.streams)?;
                at.bytes = 0;
            }
        }
        let active = match active {
            Some(active) => active,
            None => {
                let identity = at.identity.unwrap_or_else(|| LogId::draw(dir));
                if at.identity.is_none() {
                    at.head = identity.chain_start();
                }
                let first = Seq(at.last.0 + 1);
                let start = Start { identity, first, before: at.head };
                let active = Arc::new(Active::create(&dir.join(store_name(first)), start)?);
                volumes.put(Volume::Active(Arc::clone(&active)));
                active
            }
        };
        let End { streams, last, head, bytes, .. } = at;
        Ok(Opened { volumes, active, streams, last, head, bytes })
    }
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
        let mut at = End::default();
        for (first, forms) in find(dir)? {
            if let Some(path) = forms.sealed {
                let (sealed, streams) = Sealed::open(&path)?;
                at.admits(sealed.start(), first)?;
                at = End::of(&sealed, streams);
                volumes.put(Volume::Sealed(Arc::new(sealed)));
            } else if let Some(store) = forms.store
                && let Some(active) = Active::open(&store)?
            {
                at.admits(active.start(), first)?;
                at.walk(&active)?;
                volumes.put(Volume::Active(Arc::new(active)));
            }
        }
        let End { identity, last, head, .. } = at;
        Ok(identity.map(|identity| Found { volumes, identity, last, head }))
    }
}

/// How far the volumes looked at reach.
#[derive(Default)]
struct End {
    identity: Option<LogId>,
    last: Seq,
    head: [u8; 32],
    streams: Streams,
    bytes: u64,
}

impl End {
    fn of(sealed: &Sealed, streams: Streams) -> Self {
        Self {
            identity: Some(sealed.start().identity),
            last: sealed.last(),
            head: sealed.head(),
            streams,
            bytes: 0,
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

    /// Walks a store to its end, checking every link, and counts what it adds to the streams.
    fn walk(&mut self, active: &Active) -> Result<(), ReadError> {
        self.identity = Some(active.start().identity);
        self.head = active.start().before;
        self.bytes = 0;
        for block in active.walk() {
            let block = block?;
            let followed = self.streams.follow_block(&block);
            followed.map_err(|(seq, damage)| ReadError::Damaged { seq, damage })?;
            self.bytes += block.bytes().len() as u64;
            (self.last, self.head) = (block.last(), block.hash());
        }
        Ok(())
    }
}

/// Where the forms of one volume lie.
#[derive(Default)]
struct Forms {
    store: Option<PathBuf>,
    sealed: Option<PathBuf>,
    unfinished: Option<PathBuf>,
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
            // A volume that was not sealed to its end.
            "tmp" => found.entry(first).or_default().unfinished = Some(path),
            _ => {}
        }
    }
    Ok(found)
}

fn remove(store: &Path) -> Result<(), OpenError> {
    std::fs::remove_dir_all(store)
        .map_err(|source| OpenError::Io { what: "remove a sealed store of", source })
}

/// Name of the store of the volume that begins with `first`.
pub(crate) fn store_name(first: Seq) -> String {
    format!("{:020}.sled", first.0)
}

/// Name of the sealed volume that begins with `first`.
pub(crate) fn sealed_name(first: Seq) -> String {
    format!("{:020}.vol", first.0)
}
