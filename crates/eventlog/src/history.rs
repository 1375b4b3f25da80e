//! A stretch of events as one file, to be sent to somebody, replayed or kept as a test. It is not
//! the log: it may leave events out, for instance those of other jobs. Streaming in both directions.
//!
//! ```text
//! RPRSHIST | version u32 | engine u32 | job u32, 0 = all | crc u32 of the 20 bytes before
//! frames, as in the log, with ascending positions
//! ffffffff | count u64 | BLAKE3 of everything before it, 32 bytes
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use domain::{Envelope, JobId, Seq};

use crate::damage::Damage;
use crate::frame;
use crate::record::{Record, Stream};
use crate::schema::EncodeError;
use crate::streams::Streams;

const MAGIC: [u8; 8] = *b"RPRSHIST";
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 24;
/// Stands where a frame's length would: no frame is that long.
const TRAILER: [u8; 4] = [0xff; 4];

/// What a history says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Version of the decision rules that made it.
    pub engine: u32,
    /// The job it is about; `None` when it is about all of them.
    pub job: Option<JobId>,
}

/// Why a history could not be written. `E` is why its events could not be had.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E: std::error::Error + 'static> {
    /// The file could not be written.
    #[error("the history could not be written")]
    Io(#[from] io::Error),
    /// An event could not be encoded.
    #[error("an event could not be encoded")]
    Encode(#[from] EncodeError),
    /// An event does not come after the one before it.
    #[error("event {0} does not come after the one before it")]
    Order(Seq),
    /// The events could not be had.
    #[error("the events could not be read")]
    Source(#[source] E),
}

/// Why a history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("the history could not be read")]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error("this is no history file")]
    NotAHistory,
    /// The bytes are not what was written.
    #[error("the history is damaged at byte {offset}, after event {after}: {damage}")]
    Damaged {
        /// Offset in the file at which the damaged part begins.
        offset: u64,
        /// The last event before it; zero when there is none.
        after: Seq,
        /// What is wrong.
        damage: Damage,
    },
}

/// Writes a history and flushes the writer; the number of events written.
///
/// # Errors
/// When an event cannot be had, encoded or written. What was written by then is no valid history.
pub fn write_history<E: std::error::Error + 'static>(
    writer: impl Write,
    header: Header,
    records: impl IntoIterator<Item = Result<Record, E>>,
) -> Result<u64, WriteError<E>> {
    let mut out = Hashing { inner: writer, hasher: blake3::Hasher::new() };
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&header.engine.to_le_bytes());
    bytes.extend_from_slice(&header.job.map_or(0, |job| job.0).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    out.write_all(&bytes)?;
    let mut count = 0;
    let mut before = Seq(0);
    for record in records {
        let record = record.map_err(WriteError::Source)?;
        if record.seq <= before {
            return Err(WriteError::Order(record.seq));
        }
        bytes.clear();
        frame::push(&mut bytes, &record)?;
        out.write_all(&bytes)?;
        before = record.seq;
        count += 1;
    }
    out.write_all(&TRAILER)?;
    out.write_all(&u64::to_le_bytes(count))?;
    let hash = out.hasher.finalize();
    out.inner.write_all(hash.as_bytes())?;
    out.inner.flush()?;
    Ok(count)
}

/// Writes a history of events that come from no log, such as simulated ones: their streams are counted
/// from the first of them on.
///
/// # Errors
/// As [`write_history`].
pub fn write_envelopes<'a>(
    writer: impl Write,
    header: Header,
    envelopes: impl IntoIterator<Item = &'a Envelope>,
) -> Result<u64, WriteError<EncodeError>> {
    let mut streams = Streams::default();
    let records = envelopes.into_iter().map(|envelope| {
        let place = streams.place(Stream::of(&envelope.event), envelope.cause);
        Record::of(envelope, place)
    });
    write_history(writer, header, records)
}

struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashing<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

/// Reads a history event by event. The file is whole and true only if the iterator ends without an
/// error: the hash over everything stands at the end.
pub struct HistoryReader<R> {
    input: R,
    hasher: blake3::Hasher,
    header: Header,
    offset: u64,
    after: Seq,
    count: u64,
    over: bool,
}

impl HistoryReader<BufReader<File>> {
    /// Opens a history file.
    ///
    /// # Errors
    /// When it cannot be read, is something else, or its header is damaged.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::new(BufReader::new(File::open(path)?))
    }
}

impl<R: Read> HistoryReader<R> {
    /// Reads a history from anywhere; give it a buffered reader.
    ///
    /// # Errors
    /// As [`HistoryReader::open`].
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut reader = Self {
            input,
            hasher: blake3::Hasher::new(),
            header: Header { engine: 0, job: None },
            offset: 0,
            after: Seq(0),
            count: 0,
            over: false,
        };
        let bytes = match reader.exactly(HEADER_BYTES) {
            Err(ReadError::Damaged { .. }) => return Err(ReadError::NotAHistory),
            taken => taken?,
        };
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if bytes[..8] != MAGIC {
            return Err(ReadError::NotAHistory);
        }
        if crc32fast::hash(&bytes[..20]) != word(20) {
            return Err(reader.damaged(0, Damage::Checksum));
        }
        if word(8) != VERSION {
            return Err(reader.damaged(8, Damage::Version(word(8))));
        }
        reader.header =
            Header { engine: word(12), job: Some(JobId(word(16))).filter(|job| job.0 > 0) };
        Ok(reader)
    }

    /// What the history says about itself.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// The same events with all that is stored of each, whether or not this program understands it.
    pub fn records(self) -> Records<R> {
        Records(self)
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        let start = self.offset;
        let mut bytes = self.exactly(4)?;
        if bytes == TRAILER {
            return self.finish(start).map(|()| None);
        }
        // What is cut may be the length itself, so the whole frame is to blame.
        let blamed = |reader: &Self, read: Result<Vec<u8>, ReadError>| match read {
            Err(ReadError::Damaged { damage, .. }) => Err(reader.damaged(start, damage)),
            read => read,
        };
        let rest = self.exactly(frame::HEADER_BYTES - 4);
        bytes.extend(blamed(self, rest)?);
        let header = bytes.first_chunk().expect("a header was read");
        let whole = frame::whole_len(header).map_err(|damage| self.damaged(start, damage))?;
        let rest = self.exactly(whole - frame::HEADER_BYTES);
        bytes.extend(blamed(self, rest)?);
        let record = frame::split(&bytes).and_then(|(frame, _)| {
            frame.check()?;
            if frame.seq() > self.after {
                frame.record()
            } else {
                Err(Damage::Position(frame.seq().0))
            }
        });
        let record = record.map_err(|damage| self.damaged(start, damage))?;
        self.after = record.seq;
        self.count += 1;
        Ok(Some(record))
    }

    fn next_record(&mut self) -> Option<Result<Record, ReadError>> {
        if self.over {
            return None;
        }
        let read = self.read();
        self.over = !matches!(read, Ok(Some(_)));
        read.transpose()
    }

    fn finish(&mut self, start: u64) -> Result<(), ReadError> {
        let count = self.exactly(8)?;
        let hash = self.hasher.finalize();
        let written = self.exactly(32)?;
        if count != self.count.to_le_bytes() {
            return Err(self.damaged(start, Damage::Header("the trailer counts other events")));
        }
        if *hash.as_bytes() != written[..] {
            return Err(self.damaged(start, Damage::Hash));
        }
        let end = self.offset;
        match self.exactly(1) {
            Err(ReadError::Damaged { damage: Damage::Cut, .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(self.damaged(end, Damage::Surplus)),
        }
    }

    /// Exactly this many bytes; fewer are [`Damage::Cut`]. Memory grows with what is really there,
    /// so that a file cannot announce more than it costs to hold it.
    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        let start = self.offset;
        let mut bytes = Vec::new();
        (&mut self.input).take(length as u64).read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        self.hasher.update(&bytes);
        if bytes.len() == length { Ok(bytes) } else { Err(self.damaged(start, Damage::Cut)) }
    }

    fn damaged(&self, offset: u64, damage: Damage) -> ReadError {
        ReadError::Damaged { offset, after: self.after, damage }
    }
}

impl<R: Read> Iterator for HistoryReader<R> {
    type Item = Result<Envelope, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.offset;
        let read = self.next_record()?;
        let envelope = read.and_then(|record| {
            record.envelope().map_err(|damage| ReadError::Damaged {
                offset: start,
                after: Seq(record.seq.0 - 1),
                damage,
            })
        });
        self.over |= envelope.is_err();
        Some(envelope)
    }
}

/// Records of a history; see [`HistoryReader::records`].
pub struct Records<R>(HistoryReader<R>);

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_record()
    }
}
