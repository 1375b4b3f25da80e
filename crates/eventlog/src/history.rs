//! A stretch of events as one file, to be sent to somebody, replayed or kept as a test: `.replay`. It is
//! not the log: it may leave events out, for instance those of other jobs. Streaming in both
//! directions, a block at a time. What is in the header is [`Header`]'s.
//!
//! ```text
//! RPRSHIST | version u32 = 3 | length u32 | text of the header | BLAKE3 of all of it, 32 bytes
//! blocks:  length of its frames u32 | length of what follows the hash u32
//!          | BLAKE3 of the hash before, both lengths and what follows, 32 bytes
//!          | the frames, deflated: as in the log, with ascending positions
//! ffffffff | count u64 | BLAKE3 of the hash before and these 12 bytes, 32 bytes
//! ```
//!
//! Version 2, `.history`, had neither blocks nor text; it is still read.
//!
//! ```text
//! RPRSHIST | version u32 = 2 | engine u32 | job u32, 0 = all | crc u32 of the 20 bytes before
//! frames
//! ffffffff | count u64 | BLAKE3 of everything before it, 32 bytes
//! ```

mod header;
mod write;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use domain::{Envelope, JobId, Seq};
use flate2::bufread::DeflateDecoder;

pub use header::{Header, Identities};
pub use write::{WriteError, write_envelopes, write_history};

use crate::damage::Damage;
use crate::frame;
use crate::record::Record;

const MAGIC: [u8; 8] = *b"RPRSHIST";
const VERSION: u32 = 3;
/// The version before, which had no blocks.
const FRAMES_ONLY: u32 = 2;
/// Stands where a length would: none is that long.
const END: [u8; 4] = [0xff; 4];
/// Longest block before it is deflated, in bytes: the longest frame fits.
const BLOCK_MOST: usize = 16 * 1024 * 1024;
/// Longest block as it is stored: deflating makes what is random a little longer.
const STORED_MOST: usize = BLOCK_MOST + BLOCK_MOST / 1024;
/// All frames of a history together, in bytes. A small file that says it holds more is not read on.
const EXPANDED_MOST: u64 = 8 << 30;
/// So many bytes of frames are taken for each byte of the file, besides [`EXPANDED_FREE`]. Events have
/// times, positions and hashes, so they deflate far less; what says more was made to fill a memory.
const EXPANDED_PER_BYTE: u64 = 200;
/// Bytes of frames that any file may hold.
const EXPANDED_FREE: u64 = 64 << 20;

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

/// What stands for a part of a history and all parts before it.
fn chained(before: blake3::Hash, lengths: &[u8], bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before.as_bytes()).update(lengths).update(bytes);
    hasher.finalize()
}

/// Reads a history event by event. The file is whole and true only if the iterator ends without an
/// error: a hash over everything stands at the end.
pub struct HistoryReader<R> {
    input: R,
    header: Header,
    form: Form,
    offset: u64,
    after: Seq,
    count: u64,
    over: bool,
}

/// How frames lie in the file.
enum Form {
    /// One after another.
    Frames(Box<blake3::Hasher>),
    /// In blocks.
    Blocks(Blocks),
}

struct Blocks {
    /// The hash of what was read last.
    chain: blake3::Hash,
    /// The frames of the present block, and how far they were read.
    frames: Vec<u8>,
    read: usize,
    /// Where in the file it begins.
    start: u64,
    /// Bytes of frames so far.
    expanded: u64,
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
            header: Header::default(),
            form: Form::Frames(Box::default()),
            offset: 0,
            after: Seq(0),
            count: 0,
            over: false,
        };
        let bytes = match reader.exactly(12) {
            Err(ReadError::Damaged { .. }) => return Err(ReadError::NotAHistory),
            taken => taken?,
        };
        if bytes[..8] != MAGIC {
            return Err(ReadError::NotAHistory);
        }
        match word(&bytes, 8) {
            VERSION => reader.text(bytes)?,
            FRAMES_ONLY => reader.numbers(bytes)?,
            other => return Err(reader.damaged(8, Damage::Version(other))),
        }
        Ok(reader)
    }

    /// What the history says about itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The same events with all that is stored of each, whether or not this program understands it.
    pub fn records(self) -> Records<R> {
        Records(self)
    }

    /// The rest of a header of [`FRAMES_ONLY`].
    fn numbers(&mut self, mut bytes: Vec<u8>) -> Result<(), ReadError> {
        bytes.extend(self.exactly(12)?);
        if crc32fast::hash(&bytes[..20]) != word(&bytes, 20) {
            return Err(self.damaged(0, Damage::Checksum));
        }
        self.header.engine = word(&bytes, 12);
        self.header.job = Some(JobId(word(&bytes, 16))).filter(|job| job.0 > 0);
        Ok(())
    }

    /// The rest of a header.
    fn text(&mut self, mut bytes: Vec<u8>) -> Result<(), ReadError> {
        bytes.extend(self.exactly(4)?);
        let length = word(&bytes, 12) as usize;
        if length > header::TEXT_MOST {
            return Err(self.damaged(12, Damage::Header("its text is too long")));
        }
        bytes.extend(self.exactly(length)?);
        let chain = blake3::hash(&bytes);
        if self.exactly(32)? != chain.as_bytes() {
            return Err(self.damaged(0, Damage::Hash));
        }
        let text = std::str::from_utf8(&bytes[16..])
            .map_err(|_| self.damaged(16, Damage::Header("it is no text")))?;
        self.header = Header::parse(text).map_err(|damage| self.damaged(16, damage))?;
        let start = self.offset;
        let frames = Vec::new();
        self.form = Form::Blocks(Blocks { chain, frames, read: 0, start, expanded: 0 });
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        let (start, record) = match &self.form {
            Form::Frames(_) => {
                let start = self.offset;
                let Some(bytes) = self.frame(start)? else { return Ok(None) };
                (start, self.record(&bytes).map(|(record, _)| record))
            }
            Form::Blocks(_) => {
                if !self.fill()? {
                    return Ok(None);
                }
                let Form::Blocks(blocks) = &self.form else { unreachable!("as above") };
                let read = self.record(&blocks.frames[blocks.read..]);
                (blocks.start, read.map(|(record, length)| self.advance(record, length)))
            }
        };
        let record = record.map_err(|damage| self.damaged(start, damage))?;
        self.after = record.seq;
        self.count += 1;
        Ok(Some(record))
    }

    fn advance(&mut self, record: Record, length: usize) -> Record {
        if let Form::Blocks(blocks) = &mut self.form {
            blocks.read += length;
        }
        record
    }

    /// The record at the start of some bytes, and its length there.
    fn record(&self, bytes: &[u8]) -> Result<(Record, usize), Damage> {
        let (frame, rest) = frame::split(bytes)?;
        frame.check()?;
        if frame.seq() <= self.after {
            return Err(Damage::Position(frame.seq().0));
        }
        Ok((frame.record()?, bytes.len() - rest.len()))
    }

    /// The bytes of the next frame of [`FRAMES_ONLY`]; `None` at the end.
    fn frame(&mut self, start: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let mut bytes = self.exactly(4)?;
        if bytes == END {
            return self.finish_frames(start).map(|()| None);
        }
        // What is cut may be the length itself, so the whole frame is to blame.
        let rest = self.exactly(frame::HEADER_BYTES - 4);
        bytes.extend(rest.map_err(|error| blamed(error, start))?);
        let header = bytes.first_chunk().expect("a header was read");
        let whole = frame::whole_len(header).map_err(|damage| self.damaged(start, damage))?;
        let rest = self.exactly(whole - frame::HEADER_BYTES);
        bytes.extend(rest.map_err(|error| blamed(error, start))?);
        Ok(Some(bytes))
    }

    fn finish_frames(&mut self, start: u64) -> Result<(), ReadError> {
        let count = self.exactly(8)?;
        let hash = match &self.form {
            Form::Frames(hasher) => hasher.finalize(),
            Form::Blocks(blocks) => blocks.chain,
        };
        let written = self.exactly(32)?;
        if count != self.count.to_le_bytes() {
            return Err(self.damaged(start, Damage::Header("the trailer counts other events")));
        }
        if *hash.as_bytes() != written[..] {
            return Err(self.damaged(start, Damage::Hash));
        }
        self.nothing_more()
    }

    /// Sees to it that there is a frame to be read; false at the end.
    fn fill(&mut self) -> Result<bool, ReadError> {
        let Form::Blocks(blocks) = &self.form else { return Ok(false) };
        if blocks.read < blocks.frames.len() {
            return Ok(true);
        }
        let (chain, expanded, start) = (blocks.chain, blocks.expanded, self.offset);
        let mut lengths = self.exactly(8).map_err(|error| blamed(error, start))?;
        if lengths[..4] == END {
            lengths.extend(self.exactly(4).map_err(|error| blamed(error, start))?);
            let hash = self.exactly(32).map_err(|error| blamed(error, start))?;
            if hash != chained(chain, &lengths, &[]).as_bytes() {
                return Err(self.damaged(start, Damage::Hash));
            }
            if lengths[4..] != self.count.to_le_bytes() {
                return Err(self.damaged(start, Damage::Header("the end counts other events")));
            }
            return self.nothing_more().map(|()| false);
        }
        let (length, stored) = (word(&lengths, 0) as usize, word(&lengths, 4) as usize);
        let expanded = expanded + length as u64;
        if length == 0 || length > BLOCK_MOST || stored > STORED_MOST || expanded > EXPANDED_MOST {
            let damage = Damage::Header("no block is of this length");
            return Err(self.damaged(start, damage));
        }
        let hash = self.exactly(32).map_err(|error| blamed(error, start))?;
        let bytes = self.exactly(stored).map_err(|error| blamed(error, start))?;
        if expanded > EXPANDED_FREE + self.offset * EXPANDED_PER_BYTE {
            let damage = Damage::Header("it expands to far more than events of its size");
            return Err(self.damaged(start, damage));
        }
        let chain = chained(chain, &lengths, &bytes);
        if hash != chain.as_bytes() {
            return Err(self.damaged(start, Damage::Hash));
        }
        let frames = inflated(&bytes, length)
            .ok_or_else(|| self.damaged(start, Damage::Header("it inflates to something else")))?;
        self.form = Form::Blocks(Blocks { chain, frames, read: 0, start, expanded });
        Ok(true)
    }

    fn nothing_more(&mut self) -> Result<(), ReadError> {
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
        if let Form::Frames(hasher) = &mut self.form {
            hasher.update(&bytes);
        }
        if bytes.len() == length { Ok(bytes) } else { Err(self.damaged(start, Damage::Cut)) }
    }

    fn damaged(&self, offset: u64, damage: Damage) -> ReadError {
        ReadError::Damaged { offset, after: self.after, damage }
    }

    fn next_record(&mut self) -> Option<Result<Record, ReadError>> {
        if self.over {
            return None;
        }
        let read = self.read();
        self.over = !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}

/// Damage of a part is damage of the whole that begins at `start`.
fn blamed(error: ReadError, start: u64) -> ReadError {
    match error {
        ReadError::Damaged { after, damage, .. } => {
            ReadError::Damaged { offset: start, after, damage }
        }
        error => error,
    }
}

/// Exactly `length` bytes out of all of `bytes`; no more are ever made.
fn inflated(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut decoder = DeflateDecoder::new(bytes).take(length as u64 + 1);
    let mut inflated = Vec::new();
    decoder.read_to_end(&mut inflated).ok()?;
    let is_all = inflated.len() == length && decoder.get_ref().get_ref().is_empty();
    is_all.then_some(inflated)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
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
