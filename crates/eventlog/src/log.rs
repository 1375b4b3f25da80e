//! The one writer: takes steps, gives them positions, and returns when they are durable. It never
//! changes or removes what was written. Reading is [`crate::Reader`]'s.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use domain::{Event, Seq, Timestamp};

use crate::active::{Active, Start, is_full_disk};
use crate::block::{BLOCK_MOST, Draft, OVERHEAD};
use crate::frame;
use crate::identity::LogId;
use crate::journal::{AppendFault, Journal};
use crate::lock::Lock;
use crate::mark::Mark;
use crate::reader::{ReadError, Reader};
use crate::record::{CommandId, Record, Stream};
use crate::schema::{self, EncodeError};
use crate::sealed::SealError;
use crate::signal::Signal;
use crate::spare::Spare;
use crate::store::is_full;
use crate::streams::{Placed, Streams};
use crate::volumes::{self, Found, Opened, Volume, Volumes, store_name};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another log of this process, has it open.
    #[error("the log is in use by another process")]
    InUse,
    /// The file system refused.
    #[error("could not {what} the log")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The store refused.
    #[error("the store of the log could not be opened")]
    Store(#[from] sled::Error),
    /// The folder holds something else.
    #[error("the folder holds no event log")]
    NotALog,
    /// There are events but no identity: the log was tampered with.
    #[error("the log has events but no identity")]
    NoIdentity,
    /// It was written by a program that this one does not understand.
    #[error("the log has format version {0}, which this program does not know")]
    Version(u32),
    /// It is damaged.
    #[error("the log is damaged")]
    Damaged(#[from] ReadError),
    /// A volume that was left unsealed could not be sealed.
    #[error("a volume of the log could not be sealed")]
    Seal(#[source] io::Error),
}

impl From<SealError> for OpenError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Read(error) => Self::Damaged(error),
            SealError::Io(error) => Self::Seal(error),
        }
    }
}

/// Why steps were not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// An append before this one failed.
    #[error("the log stopped at an earlier failure and has to be opened again")]
    Stopped,
    /// The disk was full at an append before this one.
    #[error("the log waits for space on the disk")]
    Waiting,
    /// The disk is full. Nothing is lost: [`Log::heal`] goes on once there is space.
    #[error("the disk of the log is full")]
    DiskFull(#[source] io::Error),
    /// A stream is not where the caller expected it. Nothing was appended and the writer goes on.
    #[error("stream {stream} is at revision {actual}, not {expected}")]
    Unexpected {
        /// The stream.
        stream: Stream,
        /// Its revision as the caller expected it; zero for no events.
        expected: u64,
        /// Its revision.
        actual: u64,
    },
    /// A command was taken before. Nothing was appended and the writer goes on.
    #[error("the command was taken before, at event {0}")]
    Repeated(Seq),
    /// A step does not begin with its input, or has a second one.
    #[error("step {index} of the batch is not one input followed by decisions")]
    Shape {
        /// Place of the step in the batch, from 0.
        index: usize,
    },
    /// A step has more events or bytes than a commit may have.
    #[error("step {index} of the batch is larger than {BLOCK_MOST} bytes")]
    TooLong {
        /// Place of the step in the batch, from 0.
        index: usize,
    },
    /// The positions are used up.
    #[error("the log has no position left")]
    Full,
    /// An event could not be written down.
    #[error("an event could not be encoded")]
    Encode(#[from] EncodeError),
    /// A volume could not be begun.
    #[error("the log could not begin a volume")]
    Volume(#[source] OpenError),
    /// The store refused.
    #[error("the store of the log refused a commit")]
    Store(#[source] sled::Error),
    /// The file system refused.
    #[error("the journal of the log could not be written")]
    Write(#[source] io::Error),
    /// The disk did not confirm.
    #[error("the disk did not confirm a commit")]
    Sync(#[source] io::Error),
}

impl AppendError {
    fn of_store(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if is_full_disk(&error) => Self::DiskFull(error),
            error => Self::Store(error),
        }
    }

    /// Whether nothing was appended and the writer goes on: the caller asked for something that does
    /// not hold.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Unexpected { .. } | Self::Repeated(_))
    }
}

/// One step to be recorded: an input and what was concluded from it.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// When the input entered.
    pub at: Timestamp,
    /// The input, then the decisions it caused.
    pub events: &'a [Event],
    /// The engine's running digest after the step, for a replay to compare.
    pub digest: Option<u64>,
    /// The caller's name for the command, so that asking twice is doing once.
    pub command: Option<CommandId>,
}

impl<'a> Step<'a> {
    /// A step without a digest and a name.
    #[must_use]
    pub const fn new(at: Timestamp, events: &'a [Event]) -> Self {
        Self { at, events, digest: None, command: None }
    }
}

/// When a volume is full.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events in a volume.
    pub volume_events: u64,
    /// Bytes of blocks in a volume. sled keeps about as much in memory.
    pub volume_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { volume_events: 1_000_000, volume_bytes: 64 * 1024 * 1024 }
    }
}

/// Largest file that is written ahead for the next volume.
const SPARE_MOST: u64 = 64 * 1024 * 1024;

/// The writer. There is one per log; a lock keeps other processes out.
pub struct Log {
    limits: Limits,
    dir: PathBuf,
    volumes: Arc<Volumes>,
    journal: Journal,
    /// The store of what the journal holds; `None` while it could not be opened on a full disk.
    active: Option<Arc<Active>>,
    streams: Streams,
    mark: Mark,
    /// Where the next journal goes, once the volume is half full.
    spare: Option<Spare>,
    durable: Arc<Signal>,
    standing: Standing,
    /// Whether it waits for space, for whoever reads.
    waits: Arc<AtomicBool>,
    sealing: Option<JoinHandle<Result<(), SealError>>>,
    _lock: Arc<Lock>,
}

/// Whether the writer takes anything.
enum Standing {
    Ready,
    /// The disk was full.
    Waiting,
    Stopped,
}

impl Log {
    /// Opens the log in `dir`, creating it if there is none, and checks the volume that is appended
    /// to. It stays open, and locked, until the log and all its readers are dropped.
    ///
    /// # Errors
    /// When the log is in use, of another format, or damaged at its end.
    pub fn open(dir: &Path) -> Result<(Self, Reader), OpenError> {
        Self::open_with(dir, Limits::default())
    }

    /// The same with volumes of another size.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(dir: &Path, limits: Limits) -> Result<(Self, Reader), OpenError> {
        let io = |what| move |source| OpenError::Io { what, source };
        std::fs::create_dir_all(dir).map_err(io("create the folder of"))?;
        let lock = Arc::new(Lock::take(dir)?);
        // The folder of an earlier program, which this one would take for empty.
        if dir.join("db").exists() {
            return Err(OpenError::Version(1));
        }
        // Opening cuts off what is torn, so it has to be known before that nothing is missing.
        drop(whole(dir)?);
        let volumes_dir = dir.join("volumes");
        let Opened { volumes, journal, active, streams } = Volumes::open(&volumes_dir)?;
        let mark = Mark::open(dir).map_err(io("open the mark of"))?;
        // So that it takes no space later, when there may be none.
        mark.set(journal.end().last, &journal.end().head).map_err(io("write the mark of"))?;
        for folder in [Some(dir), dir.canonicalize().ok().as_deref().and_then(Path::parent)] {
            let synced = folder.map_or(Ok(()), crate::active::sync_folder);
            synced.map_err(io("sync a folder of"))?;
        }
        let volumes = Arc::new(volumes);
        let durable = Arc::new(Signal::at(journal.end().last));
        let waits = Arc::new(AtomicBool::new(false));
        let reader = Reader::new(
            Arc::clone(&volumes),
            journal.end().start.identity,
            Arc::clone(&durable),
            Some(Arc::clone(&lock)),
            Arc::clone(&waits),
        );
        let log = Self {
            limits,
            dir: volumes_dir,
            volumes,
            journal,
            active: Some(active),
            streams,
            mark,
            spare: None,
            durable,
            standing: Standing::Ready,
            waits,
            sealing: None,
            _lock: lock,
        };
        Ok((log, reader))
    }

    /// Opens the log in `dir` to read it, with the same checks. Where there is none, none is made, and
    /// where there is one, nothing is finished that a writer left half done.
    ///
    /// # Errors
    /// As [`Log::open`], and [`OpenError::NotALog`] where there is none.
    pub fn read(dir: &Path) -> Result<Reader, OpenError> {
        let lock = Lock::take_existing(dir)?.map(Arc::new);
        let Some(Found { volumes, identity, last, .. }) = whole(dir)? else {
            let earlier = dir.join("db").is_file() && dir.join("conf").is_file();
            return Err(if earlier { OpenError::Version(1) } else { OpenError::NotALog });
        };
        let durable = Arc::new(Signal::at(last));
        Ok(Reader::new(Arc::new(volumes), identity, durable, lock, Arc::default()))
    }

    /// Which log this is.
    #[must_use]
    pub fn identity(&self) -> LogId {
        self.journal.end().start.identity
    }

    /// Revision of the last event of a stream; zero when it has none.
    #[must_use]
    pub fn revision(&self, stream: Stream) -> u64 {
        self.streams.revision(stream)
    }

    /// Where a command was taken, if it was among the latest 65,536.
    #[must_use]
    pub fn taken(&self, command: CommandId) -> Option<Seq> {
        self.streams.taken(command)
    }

    /// Appends steps in order, all or none, and returns their positions once they are durable. The
    /// steps follow each other without a gap, so the position of each follows from their lengths.
    ///
    /// # Errors
    /// After any error but a refusal the writer takes nothing more: what the caller concluded and
    /// what the disk holds may differ. When the disk was full [`Self::heal`] may go on; else only
    /// opening the log anew tells.
    pub fn append(&mut self, steps: &[Step<'_>]) -> Result<Range<Seq>, AppendError> {
        self.append_if(steps, &[])
    }

    /// The same, if every stream named is at the revision given; zero means that it has no events.
    ///
    /// # Errors
    /// As [`Self::append`], and [`AppendError::Unexpected`], which is a refusal.
    pub fn append_if(
        &mut self,
        steps: &[Step<'_>],
        expected: &[(Stream, u64)],
    ) -> Result<Range<Seq>, AppendError> {
        match self.standing {
            Standing::Ready => {}
            Standing::Waiting => return Err(AppendError::Waiting),
            Standing::Stopped => return Err(AppendError::Stopped),
        }
        for (stream, expected) in expected.iter().copied() {
            let actual = self.streams.revision(stream);
            if actual != expected {
                return Err(AppendError::Unexpected { stream, expected, actual });
            }
        }
        self.refuse_repeated(steps)?;
        self.standing = Standing::Stopped;
        let first = self.last().0.checked_add(1).map(Seq).ok_or(AppendError::Full)?;
        let batch = Batch::build(steps, first, self.journal.end().head, &self.streams)?;
        if batch.blocks.is_empty() {
            self.standing = Standing::Ready;
            return Ok(first..first);
        }
        let committed = self.commit(batch);
        if let Err(AppendError::DiskFull(_)) = committed {
            self.standing = Standing::Waiting;
            self.waits.store(true, Ordering::Relaxed);
            // It is kept as one that is gone, and so not made again before the next volume.
            let _ = self.spare.as_mut().map(Spare::give_up);
        }
        committed?;
        Ok(first..Seq(self.last().0 + 1))
    }

    fn refuse_repeated(&self, steps: &[Step<'_>]) -> Result<(), AppendError> {
        let mut position = self.last().0 + 1;
        let mut fresh: Vec<(CommandId, Seq)> = Vec::new();
        for step in steps {
            if let Some(command) = step.command {
                let before = fresh.iter().find(|(known, _)| *known == command).map(|(_, seq)| *seq);
                if let Some(seq) = self.streams.taken(command).or(before) {
                    return Err(AppendError::Repeated(seq));
                }
                fresh.push((command, Seq(position)));
            }
            // Whether there are positions left is told later.
            position = position.saturating_add(step.events.len() as u64);
        }
        Ok(())
    }

    fn last(&self) -> Seq {
        self.journal.end().last
    }

    fn commit(&mut self, batch: Batch) -> Result<(), AppendError> {
        // Before anything is written: what is in the journal will be in the store.
        let active = self.active.as_ref().expect("a log without its store is waiting or stopped");
        active.wait_for_room().map_err(AppendError::of_store)?;
        let end = self.journal.end();
        let events = end.last.0 + 1 - end.start.first.0;
        if events >= self.limits.volume_events || end.offset >= self.limits.volume_bytes {
            self.begin_volume()?;
        }
        self.journal.append(&batch.blocks).map_err(|fault| match fault {
            AppendFault::Write(error) if is_full_disk(&error) => AppendError::DiskFull(error),
            AppendFault::Write(error) => AppendError::Write(error),
            // A disk that did not confirm may have dropped what it was given: never tried again.
            AppendFault::Sync(error) => AppendError::Sync(error),
        })?;
        let active = self.active.as_ref().expect("a volume that was begun has one");
        active.push(batch.blocks);
        self.streams.advance(batch.placed);
        for (command, seq) in batch.commands {
            self.streams.take(command, seq);
        }
        if self.spare.is_none() && self.journal.end().offset >= self.limits.volume_bytes / 2 {
            self.spare = Some(Spare::begin(&self.dir, self.limits.volume_bytes.min(SPARE_MOST)));
        }
        let end = self.journal.end();
        match self.mark.set(end.last, &end.head) {
            // It may lag behind, and the batch is durable.
            Err(error) if !is_full_disk(&error) => return Err(AppendError::Sync(error)),
            Ok(()) | Err(_) => {}
        }
        self.standing = Standing::Ready;
        self.durable.set(end.last);
        Ok(())
    }

    /// Begins the next volume, and seals the full one beside the writer's work.
    fn begin_volume(&mut self) -> Result<(), AppendError> {
        let end = self.journal.end();
        let start =
            Start { identity: end.start.identity, first: Seq(end.last.0 + 1), before: end.head };
        let (journal, active) =
            volumes::begin(&self.dir, start, self.spare.as_mut()).map_err(|error| match error {
                OpenError::Io { source, .. } if is_full_disk(&source) => {
                    AppendError::DiskFull(source)
                }
                OpenError::Store(error) => AppendError::of_store(error),
                error => AppendError::Volume(error),
            })?;
        self.spare.take_if(|spare| spare.is_gone());
        self.volumes.put(Volume::Active(Arc::clone(&active)));
        let journal = std::mem::replace(&mut self.journal, journal);
        let Some(full) = self.active.replace(active) else { return Ok(()) };
        self.finish_sealing();
        let (volumes, streams) = (Arc::clone(&self.volumes), self.streams.clone());
        // A volume that cannot be sealed now is read as it is, and sealed when the log is opened.
        let sealing = std::thread::Builder::new()
            .name("seal".into())
            .spawn(move || volumes.seal(journal, &full, &streams));
        self.sealing = sealing.ok();
        Ok(())
    }

    /// Goes on after the disk was full. The append that found it full is not in the log, and may be
    /// made again.
    ///
    /// # Errors
    /// [`AppendError::DiskFull`] and [`AppendError::Waiting`] while there is no space; anything else is
    /// final.
    pub fn heal(&mut self) -> Result<(), AppendError> {
        match self.standing {
            Standing::Ready => return Ok(()),
            Standing::Waiting => {}
            Standing::Stopped => return Err(AppendError::Stopped),
        }
        let is_whole = self.active.as_ref().is_some_and(|active| active.wait_for_room().is_ok());
        if !is_whole {
            self.reopen_store()?;
        }
        self.standing = Standing::Ready;
        self.waits.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Opens the store anew: one that failed once refuses all work until then.
    fn reopen_store(&mut self) -> Result<(), AppendError> {
        drop(self.active.take());
        let store = self.dir.join(store_name(self.journal.end().start.first));
        match self.volumes.reopen(&store, &self.journal) {
            Ok(active) => self.active = Some(active),
            Err(OpenError::Store(error)) if is_full(&error) => {
                return Err(AppendError::of_store(error));
            }
            // Somebody still reads from the store that was given up.
            Err(OpenError::InUse) => return Err(AppendError::Waiting),
            Err(error) => {
                self.standing = Standing::Stopped;
                return Err(AppendError::Volume(error));
            }
        }
        Ok(())
    }

    /// Calls `hook` with the last durable position after each append; see [`Signal::on_change`].
    pub fn on_durable(&self, hook: impl Fn(Seq) -> bool + Send + 'static) {
        self.durable.on_change(hook);
    }

    fn finish_sealing(&mut self) {
        // A panic while sealing leaves the volume as it was, which is as good as before.
        let _ = self.sealing.take().map(JoinHandle::join);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.finish_sealing();
    }
}

/// The volumes of the log in `dir`, which end where its mark says; `None` when there are none and never
/// were.
fn whole(dir: &Path) -> Result<Option<Found>, OpenError> {
    let found = Volumes::read(&dir.join("volumes"))?;
    let (last, head) = found.as_ref().map_or((Seq(0), [0; 32]), |found| (found.last, found.head));
    Mark::check(Mark::peek(dir), last, &head)?;
    Ok(found)
}

/// Blocks ready to be committed together.
struct Batch {
    blocks: Vec<(Seq, Vec<u8>)>,
    placed: Placed,
    commands: Vec<(CommandId, Seq)>,
}

impl Batch {
    fn build(
        steps: &[Step<'_>],
        first: Seq,
        hash: [u8; 32],
        streams: &Streams,
    ) -> Result<Self, AppendError> {
        let mut ahead = streams.ahead();
        let (mut blocks, mut next, mut hash) = (Vec::new(), first, hash);
        let mut commands = Vec::new();
        let events: u64 = steps.iter().map(|step| step.events.len() as u64).sum();
        let last = first.0.checked_add(events).ok_or(AppendError::Full)?.saturating_sub(1);
        let commit = first..=Seq(last);
        let mut draft = Draft::new(first, &commit, hash);
        let mut frames = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let cause = next;
            let Some((Event::Input(_), decisions)) = step.events.split_first() else {
                return Err(AppendError::Shape { index });
            };
            if decisions.iter().any(|event| matches!(event, Event::Input(_))) {
                return Err(AppendError::Shape { index });
            }
            let count =
                u32::try_from(step.events.len()).map_err(|_| AppendError::TooLong { index })?;
            frames.clear();
            for event in step.events {
                let place = ahead.place(Stream::of(event), cause);
                let (schema, payload) = schema::encode(event)?;
                let is_input = next == cause;
                let record = Record {
                    seq: next,
                    at: step.at,
                    cause,
                    correlation: place.correlation,
                    stream: place.stream,
                    revision: place.revision,
                    schema,
                    digest: step.digest.filter(|_| is_input),
                    command: step.command.filter(|_| is_input),
                    payload,
                };
                frame::push(&mut frames, &record)?;
                next = next.0.checked_add(1).map(Seq).ok_or(AppendError::Full)?;
                if frames.len() > BLOCK_MOST - OVERHEAD {
                    return Err(AppendError::TooLong { index });
                }
            }
            commands.extend(step.command.map(|command| (command, cause)));
            // A step is never split: whoever reads a block reads whole steps.
            if !draft.has_room(frames.len()) {
                hash = close(draft, &mut blocks);
                draft = Draft::new(cause, &commit, hash);
            }
            draft.push(&frames, count);
        }
        if !draft.is_empty() {
            close(draft, &mut blocks);
        }
        Ok(Self { blocks, placed: ahead.placed(), commands })
    }
}

fn close(draft: Draft, blocks: &mut Vec<(Seq, Vec<u8>)>) -> [u8; 32] {
    let first = draft.first();
    let (bytes, hash) = draft.finish();
    blocks.push((first, bytes));
    hash
}
