//! A disk that fails on demand: a file system in memory that is mounted, and so takes root. It can refuse
//! the nth write, sync or read of a file, do half of it, and forget what was not synced, as disks do when
//! that is refused or the power is cut.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

/// What is asked of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Read,
    Write,
    Sync,
}

/// How it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The disk cannot.
    Refused,
    /// Half of it is done, and that is what is told.
    Half,
}

/// The next fault: of which work, of files with which ending, after how many that go well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) ending: &'static str,
    pub(crate) after: u32,
    pub(crate) fault: Fault,
}

/// The mounted disk. It is unmounted when dropped.
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
    // Dropped before the folder that it is mounted on.
    _session: BackgroundSession,
    at: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn mount() -> Self {
        let at = tempfile::tempdir().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let mounted = fuser::spawn_mount(Files(Arc::clone(&state)), at.path(), &Config::default());
        let session =
            mounted.expect("this test mounts a file system over FUSE and needs to be root");
        Self { state, _session: session, at }
    }

    pub(crate) fn path(&self) -> &Path {
        self.at.path()
    }

    pub(crate) fn plan(&self, plan: Plan) {
        self.state().plan = Some(plan);
    }

    /// Whether the fault has struck.
    pub(crate) fn has_struck(&self) -> bool {
        self.state().plan.is_none()
    }

    /// What is left of a file in the root when the power is cut now: all that was synced, and of each
    /// page that was written since either what `keeps` says or what was there before.
    pub(crate) fn cut(&self, name: &str, mut keeps: impl FnMut() -> bool) -> Vec<u8> {
        let mut state = self.state();
        let ino = state.look_up(INodeNo::ROOT, OsStr::new(name)).unwrap();
        let file = state.file(INodeNo(ino)).unwrap();
        let mut bytes = file.bytes.clone();
        undo(&mut bytes, &file.loose);
        for write in &file.loose {
            for (at, page) in (write.at..).step_by(PAGE).zip(write.after.chunks(PAGE)) {
                if keeps() {
                    bytes[at..at + page.len()].copy_from_slice(page);
                }
            }
        }
        bytes
    }

    /// Lets every read of these bytes fail from now on.
    pub(crate) fn spoil(&self, ending: &'static str, bytes: Range<usize>) {
        self.state().spoiled = Some((ending, bytes));
    }

    /// No fault any more.
    pub(crate) fn mend(&self) {
        self.state().plan = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A loop device may hold an image on it for a moment longer.
        let _ = Command::new("umount").arg("-l").arg(self.at.path()).status();
    }
}

/// Bytes that a disk writes whole or not at all.
const PAGE: usize = 4096;

fn undo(bytes: &mut [u8], loose: &[Loose]) {
    for write in loose.iter().rev() {
        if let Some(place) = bytes.get_mut(write.at..write.at + write.before.len()) {
            place.copy_from_slice(&write.before);
        }
    }
}

struct State {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    plan: Option<Plan>,
    /// Which bytes of files with which ending cannot be read any more.
    spoiled: Option<(&'static str, Range<usize>)>,
}

enum Node {
    Folder(BTreeMap<OsString, u64>),
    File(File),
}

#[derive(Default)]
struct File {
    name: OsString,
    bytes: Vec<u8>,
    /// The writes since the last sync.
    loose: Vec<Loose>,
}

/// A write that nothing made durable.
struct Loose {
    at: usize,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::from([(1, Node::Folder(BTreeMap::new()))]),
            next: 2,
            plan: None,
            spoiled: None,
        }
    }
}

impl State {
    /// What goes wrong with this work on a file, if it is its turn.
    fn strikes(&mut self, work: Work, ino: u64) -> Option<Fault> {
        let Some(Node::File(file)) = self.nodes.get(&ino) else { return None };
        let plan = self.plan.as_mut()?;
        if plan.work != work || !file.name.to_str()?.ends_with(plan.ending) {
            return None;
        }
        match plan.after.checked_sub(1) {
            Some(left) => {
                plan.after = left;
                None
            }
            None => self.plan.take().map(|plan| plan.fault),
        }
    }

    fn folder(&mut self, ino: INodeNo) -> Result<&mut BTreeMap<OsString, u64>, Errno> {
        match self.nodes.get_mut(&ino.0) {
            Some(Node::Folder(names)) => Ok(names),
            _ => Err(Errno::ENOENT),
        }
    }

    fn file(&mut self, ino: INodeNo) -> Result<&mut File, Errno> {
        match self.nodes.get_mut(&ino.0) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(Errno::ENOENT),
        }
    }

    fn add(&mut self, parent: INodeNo, name: &OsStr, node: Node) -> Result<u64, Errno> {
        let ino = self.next;
        self.folder(parent)?.insert(name.to_owned(), ino);
        self.next += 1;
        self.nodes.insert(ino, node);
        Ok(ino)
    }

    fn look_up(&mut self, parent: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        self.folder(parent)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    fn attributes(&self, ino: u64) -> Result<FileAttr, Errno> {
        let (kind, size) = match self.nodes.get(&ino).ok_or(Errno::ENOENT)? {
            Node::Folder(_) => (FileType::Directory, 0),
            Node::File(file) => (FileType::RegularFile, file.bytes.len() as u64),
        };
        Ok(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn write(&mut self, ino: INodeNo, offset: u64, data: &[u8]) -> Result<u32, Errno> {
        let taken = match self.strikes(Work::Write, ino.0) {
            Some(Fault::Refused) => return Err(Errno::EIO),
            Some(Fault::Half) => &data[..data.len().div_ceil(2)],
            None => data,
        };
        let file = self.file(ino)?;
        let at = usize::try_from(offset).unwrap();
        if file.bytes.len() < at + taken.len() {
            file.bytes.resize(at + taken.len(), 0);
        }
        let place = &mut file.bytes[at..at + taken.len()];
        file.loose.push(Loose { at, before: place.to_vec(), after: taken.to_vec() });
        place.copy_from_slice(taken);
        Ok(u32::try_from(taken.len()).unwrap())
    }

    fn sync(&mut self, ino: INodeNo) -> Result<(), Errno> {
        let fault = self.strikes(Work::Sync, ino.0);
        let file = self.file(ino)?;
        let loose = std::mem::take(&mut file.loose);
        if fault.is_none() {
            return Ok(());
        }
        // The kernel tells of a failed write once, and what was written is gone.
        undo(&mut file.bytes, &loose);
        Err(Errno::EIO)
    }

    fn read(&mut self, ino: INodeNo, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let fault = self.strikes(Work::Read, ino.0);
        let Some(Node::File(File { name, bytes, .. })) = self.nodes.get(&ino.0) else {
            return Err(Errno::ENOENT);
        };
        let at = usize::try_from(offset).unwrap().min(bytes.len());
        let end = (at + size as usize).min(bytes.len());
        let is_spoiled = self.spoiled.as_ref().is_some_and(|(ending, spoiled)| {
            name.to_str().unwrap().ends_with(ending) && at < spoiled.end && end > spoiled.start
        });
        if is_spoiled {
            return Err(Errno::EIO);
        }
        match fault {
            Some(Fault::Refused) => Err(Errno::EIO),
            Some(Fault::Half) => Ok(bytes[at..at + (end - at).div_ceil(2)].to_vec()),
            None => Ok(bytes[at..end].to_vec()),
        }
    }

    fn rename(&mut self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr)) -> Result<(), Errno> {
        let ino = self.folder(from.0)?.remove(from.1).ok_or(Errno::ENOENT)?;
        self.folder(to.0)?.insert(to.1.to_owned(), ino);
        if let Ok(file) = self.file(INodeNo(ino)) {
            to.1.clone_into(&mut file.name);
        }
        Ok(())
    }
}

/// The state as the kernel asks for it.
struct Files(Arc<Mutex<State>>);

impl Files {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

/// Nothing is cached, so that every read and write arrives here.
const NOW: Duration = Duration::ZERO;
const DIRECT: FopenFlags = FopenFlags::FOPEN_DIRECT_IO;

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut state = self.state();
        match state.look_up(parent, name).and_then(|ino| state.attributes(ino)) {
            Ok(attributes) => reply.entry(&NOW, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.state().attributes(ino.0) {
            Ok(attributes) => reply.attr(&NOW, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        if let (Some(size), Ok(file)) = (size, state.file(ino)) {
            file.bytes.resize(usize::try_from(size).unwrap(), 0);
        }
        match state.attributes(ino.0) {
            Ok(attributes) => reply.attr(&NOW, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let mut state = self.state();
        let made = state.add(parent, name, Node::Folder(BTreeMap::new()));
        match made.and_then(|ino| state.attributes(ino)) {
            Ok(attributes) => reply.entry(&NOW, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut state = self.state();
        let file = File { name: name.to_owned(), ..File::default() };
        match state.add(parent, name, Node::File(file)).and_then(|ino| state.attributes(ino)) {
            Ok(attributes) => {
                reply.created(&NOW, &attributes, Generation(0), FileHandle(0), DIRECT);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        // What is open goes on by its number.
        match self.state().folder(parent).map(|names| names.remove(name)) {
            Ok(Some(_)) => reply.ok(),
            Ok(None) => reply.error(Errno::ENOENT),
            Err(error) => reply.error(error),
        }
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        let is_empty = state
            .look_up(parent, name)
            .and_then(|ino| state.folder(INodeNo(ino)).map(|names| names.is_empty()));
        match is_empty {
            Ok(true) => {
                let _ = state.folder(parent).map(|names| names.remove(name));
                reply.ok();
            }
            Ok(false) => reply.error(Errno::ENOTEMPTY),
            Err(error) => reply.error(error),
        }
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        match self.state().rename((parent, name), (new_parent, new_name)) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), DIRECT);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.state().read(ino, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.state().write(ino, offset, data) {
            Ok(bytes) => reply.written(bytes),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.state().sync(ino) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut state = self.state();
        let names = match state.folder(ino) {
            Ok(names) => names.clone(),
            Err(error) => return reply.error(error),
        };
        let from = usize::try_from(offset).unwrap();
        for (at, (name, ino)) in names.iter().enumerate().skip(from) {
            let kind = match state.nodes.get(ino) {
                Some(Node::Folder(_)) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(INodeNo(*ino), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
