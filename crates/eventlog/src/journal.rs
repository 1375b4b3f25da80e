//! What makes an append durable: a flat file that blocks are written to one after another, and synced.
//! sled's own flush is no promise, and waits twice for what the disk does once. When the volume is full
//! the journal gets a tail and a new name, and is the sealed volume; see `sealed`.
//!
//! ```text
//! RPRSVOLM | version u32 | identity, 16 | first u64 | before, 32 | CRC-32 of what is before
//! blocks, then zeros up to the length that was reserved
//! ```
//! Its end is where no block goes on. What stands there is torn, and was never acknowledged, unless a
//! block of a later commit comes after it: then it was durable once, and is damaged.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use domain::Seq;

use crate::active::{Start, sync_folder};
use crate::block::{self, Block};
use crate::damage::Damage;
use crate::log::OpenError;
use crate::reader::ReadError;
use crate::sealed::{self, HEADER_BYTES, MARK_BYTES, SealError, Sealed, Window};
use crate::spare::{self, Spare};
use crate::streams::Streams;

/// The file grows by this much at once, so that a sync has no length to write down.
const RESERVE_BYTES: u64 = 4 * 1024 * 1024;

/// The open journal of one volume.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    end: End,
    reserved: u64,
}

/// How far the blocks of a volume reach.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) start: Start,
    /// Position of the last event; before the first one when there is none.
    pub(crate) last: Seq,
    /// Hash of the last block.
    pub(crate) head: [u8; 32],
    /// Number of blocks.
    pub(crate) blocks: u64,
    /// Offset at which the last commit begins.
    pub(crate) commit: u64,
    /// Offset at which the next block begins.
    pub(crate) offset: u64,
    /// Where some of the blocks begin.
    pub(crate) marks: Vec<(Seq, u64)>,
}

impl End {
    pub(crate) fn of_none(start: Start) -> Self {
        let last = Seq(start.first.0 - 1);
        let offset = HEADER_BYTES as u64;
        let (head, marks) = (start.before, Vec::new());
        Self { start, last, head, blocks: 0, commit: offset, offset, marks }
    }

    /// Goes on behind a block.
    pub(crate) fn pass(&mut self, first: Seq, last: Seq, hash: [u8; 32], length: usize) {
        if self.marks.last().is_none_or(|(_, before)| self.offset - before >= MARK_BYTES) {
            self.marks.push((first, self.offset));
        }
        self.offset += length as u64;
        self.blocks += 1;
        (self.last, self.head) = (last, hash);
    }
}

/// Why blocks are not known to be durable.
#[derive(Debug)]
pub(crate) enum AppendFault {
    /// They could not be written; writing them again is as good as new.
    Write(io::Error),
    /// They were written, and the disk did not confirm.
    Sync(io::Error),
}

impl Journal {
    /// Begins the journal of a volume, in the spare file if it is made.
    pub(crate) fn create(path: &Path, start: Start, spare: Option<&mut Spare>) -> io::Result<Self> {
        let end = End::of_none(start);
        let (file, reserved) = match spare.and_then(Spare::take) {
            Some((file, made, bytes)) => {
                let begun = file
                    .write_all_at(&sealed::header(start), 0)
                    .and_then(|()| file.sync_all())
                    .and_then(|()| std::fs::rename(&made, path));
                begun.inspect_err(|_| {
                    // The space may be wanted elsewhere.
                    let _ = std::fs::remove_file(&made);
                })?;
                (file, bytes)
            }
            None => {
                let mut new = File::options();
                let file = new.read(true).write(true).create(true).truncate(true).open(path)?;
                file.write_all_at(&sealed::header(start), 0)?;
                spare::write_zeros(&file, end.offset, RESERVE_BYTES)?;
                file.sync_all()?;
                (file, RESERVE_BYTES)
            }
        };
        let journal = Self { file, path: path.into(), reserved, end };
        // The name of the new file is durable only once its folder is.
        sync_folder(path.parent().unwrap_or(path))?;
        Ok(journal)
    }

    /// Opens the journal of a volume, shows each of its blocks, and cuts off what was torn; `None` when
    /// it was never begun to its end, and so holds nothing.
    pub(crate) fn open(
        path: &Path,
        block: impl FnMut(&Block) -> Result<(), OpenError>,
    ) -> Result<Option<Self>, OpenError> {
        let file = File::options().read(true).write(true).open(path).map_err(ReadError::Io)?;
        let Some(end) = scan(&file, path, ALL, block)? else { return Ok(None) };
        let io = |source| OpenError::Io { what: "cut the torn end off", source };
        file.set_len(end.offset).map_err(io)?;
        // What the run before could not sync may be in the system's memory only, and be taken for
        // written there: it is written again.
        let bytes = usize::try_from(end.offset - end.commit).unwrap_or(usize::MAX);
        let last = sealed::read_up_to(&file, end.commit, bytes).map_err(io)?;
        file.write_all_at(&last, end.commit).map_err(io)?;
        let mut journal = Self { file, path: path.into(), reserved: end.offset, end };
        // Without the reserve it is only slower.
        let _ = journal.reserve(RESERVE_BYTES);
        journal.file.sync_all().map_err(io)?;
        Ok(Some(journal))
    }

    /// What the journal in `path` says that it is, if it says anything.
    pub(crate) fn start(path: &Path) -> Result<Option<Start>, OpenError> {
        Ok(sealed::read_start(&File::open(path).map_err(ReadError::Io)?).ok())
    }

    pub(crate) fn end(&self) -> &End {
        &self.end
    }

    /// Writes the blocks of one commit; they are durable when this returns.
    pub(crate) fn append(&mut self, blocks: &[(Seq, Vec<u8>)]) -> Result<(), AppendFault> {
        let offset = self.end.offset;
        let mut together = Vec::new();
        let all = match blocks {
            [(_, bytes)] => bytes,
            blocks => {
                together.reserve_exact(blocks.iter().map(|(_, bytes)| bytes.len()).sum());
                blocks.iter().for_each(|(_, bytes)| together.extend_from_slice(bytes));
                &together
            }
        };
        let needed = offset + all.len() as u64;
        if needed > self.reserved {
            // Without the reserve it is only slower.
            let _ = self.reserve(RESERVE_BYTES.max(needed - self.reserved));
        }
        self.file.write_all_at(all, offset).map_err(AppendFault::Write)?;
        self.reserved = self.reserved.max(needed);
        self.file.sync_data().map_err(AppendFault::Sync)?;
        for (first, bytes) in blocks {
            let announced = block::announced(bytes).expect("the writer made it");
            self.end.pass(*first, announced.last, block::hash_of(bytes), bytes.len());
        }
        Ok(())
    }

    /// Turns the journal into the sealed volume.
    pub(crate) fn seal(self, streams: &Streams) -> Result<Sealed, SealError> {
        let Self { file, path, end, .. } = self;
        file.set_len(end.offset)?;
        file.write_all_at(&sealed::tail(&end, streams), end.offset)?;
        file.sync_all()?;
        let named = path.with_extension("vol");
        std::fs::rename(&path, &named)?;
        sync_folder(named.parent().unwrap_or(&named))?;
        Ok(Sealed::of(file, &named, end))
    }

    /// Reads the journal in `path` where it lies, and changes nothing; see [`Journal::open`].
    pub(crate) fn read(
        path: &Path,
        block: impl FnMut(&Block) -> Result<(), OpenError>,
    ) -> Result<Option<Sealed>, OpenError> {
        let file = File::open(path).map_err(ReadError::Io)?;
        Ok(scan(&file, path, ALL, block)?.map(|end| Sealed::of(file, path, end)))
    }

    /// The same of the file that a writer has open, at least as far as `durable`; it may be writing
    /// what comes after.
    pub(crate) fn read_open(
        file: &File,
        path: &Path,
        durable: Seq,
    ) -> Result<Option<Sealed>, ReadError> {
        let end = scan(file, path, durable, |_| Ok::<_, ReadError>(()))?;
        let Some(end) = end else { return Ok(None) };
        Ok(Some(Sealed::of(file.try_clone()?, path, end)))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The journal as it is now, to be read.
    pub(crate) fn image(&self) -> io::Result<Sealed> {
        Ok(Sealed::of(self.file.try_clone()?, &self.path, self.end.clone()))
    }

    /// Shows all blocks again.
    pub(crate) fn blocks(
        &self,
        block: impl FnMut(&Block) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        scan(&self.file, &self.path, ALL, block).map(drop)
    }

    fn reserve(&mut self, more: u64) -> io::Result<()> {
        let until = self.reserved + more;
        spare::write_zeros(&self.file, self.reserved, until)?;
        self.reserved = until;
        Ok(())
    }
}

/// As far as there is anything, of a journal that nobody writes to.
const ALL: Seq = Seq(u64::MAX);

/// Walks the blocks of a journal, commit by commit. `None` when nothing was ever written to it. What
/// stands behind the end matters only where that comes before `wanted`: a writer may be at work there,
/// and what is read of it now may be newer than what was read of it before.
fn scan<E: From<ReadError>>(
    file: &File,
    path: &Path,
    wanted: Seq,
    mut block: impl FnMut(&Block) -> Result<(), E>,
) -> Result<Option<End>, E> {
    let length = file.metadata().map_err(ReadError::Io)?.len();
    let start = match sealed::read_start(file) {
        Ok(start) => start,
        Err(damage) => {
            if later(file, 0, length, Seq(0))? {
                return Err(ReadError::Volume { path: path.to_owned(), damage }.into());
            }
            return Ok(None);
        }
    };
    let mut end = End::of_none(start);
    let mut window = Window::default();
    let damage = loop {
        let mut ahead = end.clone();
        let commit = commit(file, length, &mut ahead, &mut window);
        match commit {
            Ok(blocks) => {
                for one in &blocks {
                    block(one)?;
                }
                ahead.commit = end.offset;
                end = ahead;
            }
            Err(damage) => break damage,
        }
    };
    let next = Seq(end.last.0 + 1);
    if end.last < wanted && later(file, end.offset, length, next)? {
        return Err(ReadError::Damaged { seq: next, damage }.into());
    }
    Ok(Some(end))
}

/// The blocks of the commit that begins where `end` is, all of them or the reason why not.
fn commit(
    file: &File,
    length: u64,
    end: &mut End,
    window: &mut Window,
) -> Result<Vec<Block>, Damage> {
    let begin = Seq(end.last.0 + 1);
    let mut blocks = Vec::new();
    loop {
        let header = window.peek(file, end.offset, block::HEADER_BYTES, length)?;
        let announced = block::announced(header)?;
        if announced.begin != begin || announced.first.0 != end.last.0 + 1 {
            return Err(Damage::Missing);
        }
        let bytes = window.peek(file, end.offset, announced.length, length)?.to_vec();
        let block = Block::check(bytes, announced.first).map_err(|(_, damage)| damage)?;
        if block.before() != end.head {
            return Err(Damage::Chain);
        }
        end.pass(block.first(), block.last(), block.hash(), announced.length);
        let is_last = block.last() == announced.end;
        blocks.push(block);
        if is_last {
            return Ok(blocks);
        }
    }
}

/// Whether there is a whole block of a commit that begins after `next`, anywhere from `offset` on.
fn later(file: &File, offset: u64, length: u64, next: Seq) -> Result<bool, ReadError> {
    let mut offset = offset;
    while offset < length {
        let piece = sealed::read_up_to(file, offset, 1024 * 1024 + block::HEADER_BYTES)?;
        let own = piece.len().min(1024 * 1024);
        for at in 0..own {
            if piece[at..].first_chunk::<4>() != Some(&block::MAGIC) {
                continue;
            }
            let Ok(announced) = block::announced(&piece[at..]) else { continue };
            if announced.begin <= next {
                continue;
            }
            let bytes = sealed::read_up_to(file, offset + at as u64, announced.length)?;
            if Block::check(bytes, announced.first).is_ok() {
                return Ok(true);
            }
        }
        offset += own.max(1) as u64;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use domain::{Command, Event, Input, JobId};
    use domain::{Envelope, Timestamp};

    use super::*;
    use crate::block::Draft;
    use crate::frame;
    use crate::identity::LogId;
    use crate::record::{Place, Record, Stream};

    fn begun() -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let start = Start { identity: LogId([7; 16]), first: Seq(1), before: [0; 32] };
        let journal = Journal::create(&dir.path().join("1.wal"), start, None).unwrap();
        (dir, journal)
    }

    /// One more commit of one event.
    fn append(journal: &mut Journal) {
        let seq = Seq(journal.end().last.0 + 1);
        let event = Event::Input(Input::Command(Command::RetryJob { job: JobId(7) }));
        let envelope = Envelope { seq, at: Timestamp(6), cause: seq, event };
        let place = Place { stream: Stream::Job(JobId(7)), revision: seq.0, correlation: Seq(1) };
        let mut frames = Vec::new();
        frame::push(&mut frames, &Record::of(&envelope, place).unwrap()).unwrap();
        let mut draft = Draft::new(seq, &(seq..=seq), journal.end().head);
        draft.push(&frames, 1);
        journal.append(&[(seq, draft.finish().0)]).unwrap();
    }

    #[test]
    fn a_sealed_volume_has_each_mark_once_however_small_its_commits_were() {
        let (dir, mut journal) = begun();
        (0..1_000).for_each(|_| append(&mut journal));
        journal.seal(&Streams::default()).unwrap();
        let (sealed, _) = Sealed::open(&dir.path().join("1.vol")).unwrap();
        let marks = &sealed.end().marks;
        let bytes = sealed.end().offset - HEADER_BYTES as u64;
        assert_eq!(marks[0], (Seq(1), HEADER_BYTES as u64));
        assert!(marks.is_sorted_by(|one, next| one.1 + MARK_BYTES <= next.1));
        assert_eq!(marks.len() as u64, bytes.div_ceil(MARK_BYTES));
    }
    #[test]
    fn a_journal_that_grows_while_it_is_read_is_not_taken_for_a_damaged_one() {
        for (wanted, is_whole) in [(Seq(1), true), (Seq(2), false)] {
            let (_dir, mut journal) = begun();
            append(&mut journal);
            let file = journal.file.try_clone().unwrap();
            let path = journal.path.clone();
            // Two commits come after the reader has seen the zeros that they are written over.
            let read = scan(&file, &path, wanted, |_| {
                (0..2).for_each(|_| append(&mut journal));
                Ok::<_, ReadError>(())
            });
            assert_eq!(read.is_ok_and(|end| end.unwrap().last == Seq(1)), is_whole);
            let read = Journal::read_open(&file, &path, Seq(3)).unwrap().unwrap();
            assert_eq!(read.last(), Seq(3));
        }
    }

    #[test]
    fn what_is_durable_is_read_beside_the_writer() {
        let (_dir, mut journal) = begun();
        append(&mut journal);
        let (file, path) = (journal.file.try_clone().unwrap(), journal.path.clone());
        let durable = AtomicU64::new(1);
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for seq in 2..=400 {
                    append(&mut journal);
                    durable.store(seq, Ordering::Release);
                }
            });
            while !writing.is_finished() {
                let durable = Seq(durable.load(Ordering::Acquire));
                let read = Journal::read_open(&file, &path, durable).unwrap().unwrap();
                assert!(read.last() >= durable);
            }
        });
    }
}
