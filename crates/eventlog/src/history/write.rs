//! Writes a history: frames are gathered to blocks, each deflated and chained to the one before.

use std::io::{self, Write};

use domain::{Envelope, Seq};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{BLOCK_MOST, END, EXPANDED_MOST, Header, MAGIC, VERSION, chained};
use crate::frame;
use crate::record::{Record, Stream};
use crate::schema::EncodeError;
use crate::streams::Streams;

/// A block is closed at this size. Larger ones deflate little better, and a reader holds one whole.
const BLOCK_BYTES: usize = 256 * 1024;

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
    /// No reader would take it.
    #[error("the events up to {0} are more than one history holds; export a part of them")]
    TooLong(Seq),
    /// The events could not be had.
    #[error("the events could not be read")]
    Source(#[source] E),
}

/// Writes a history and flushes the writer; the number of events written.
///
/// # Errors
/// When an event cannot be had, encoded or written. What was written by then is no valid history.
pub fn write_history<E: std::error::Error + 'static>(
    mut out: impl Write,
    header: &Header,
    records: impl IntoIterator<Item = Result<Record, E>>,
) -> Result<u64, WriteError<E>> {
    let text = header.text();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    let mut chain = blake3::hash(&bytes);
    out.write_all(&bytes)?;
    out.write_all(chain.as_bytes())?;

    let (mut count, mut expanded, mut before) = (0u64, 0, Seq(0));
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    for record in records {
        let record = record.map_err(WriteError::Source)?;
        if record.seq <= before {
            return Err(WriteError::Order(record.seq));
        }
        let start = block.len();
        frame::push(&mut block, &record)?;
        expanded += (block.len() - start) as u64;
        if expanded > EXPANDED_MOST {
            return Err(WriteError::TooLong(record.seq));
        }
        // The frame that does not fit any more begins the next block.
        if block.len() > BLOCK_BYTES && start > 0 {
            let rest = block.split_off(start);
            chain = write_block(&mut out, chain, &block)?;
            block = rest;
        }
        before = record.seq;
        count += 1;
    }
    if !block.is_empty() {
        chain = write_block(&mut out, chain, &block)?;
    }
    let mut end = END.to_vec();
    end.extend_from_slice(&count.to_le_bytes());
    out.write_all(&end)?;
    out.write_all(chained(chain, &end, &[]).as_bytes())?;
    out.flush()?;
    Ok(count)
}

/// The hash of the block written.
fn write_block(
    out: &mut impl Write,
    chain: blake3::Hash,
    frames: &[u8],
) -> io::Result<blake3::Hash> {
    assert!(frames.len() <= BLOCK_MOST, "a frame is smaller than the largest block");
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(frames)?;
    let stored = deflated.finish()?;
    let mut lengths = (frames.len() as u32).to_le_bytes().to_vec();
    lengths.extend_from_slice(&(stored.len() as u32).to_le_bytes());
    let hash = chained(chain, &lengths, &stored);
    out.write_all(&lengths)?;
    out.write_all(hash.as_bytes())?;
    out.write_all(&stored)?;
    Ok(hash)
}

/// Writes a history of events that come from no log, such as simulated ones: their streams are counted
/// from the first of them on. With each goes the engine's digest after the step, on inputs.
///
/// # Errors
/// As [`write_history`].
pub fn write_envelopes<'a>(
    writer: impl Write,
    header: &Header,
    envelopes: impl IntoIterator<Item = (&'a Envelope, Option<u64>)>,
) -> Result<u64, WriteError<EncodeError>> {
    let mut streams = Streams::default();
    let records = envelopes.into_iter().map(|(envelope, digest)| {
        let place = streams.place(Stream::of(&envelope.event), envelope.cause);
        Ok(Record { digest, ..Record::of(envelope, place)? })
    });
    write_history(writer, header, records)
}
