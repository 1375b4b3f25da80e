//! What a log consists of, counted by reading all of it.

use std::collections::BTreeMap;

use domain::{Seq, Timestamp};

use crate::reader::{ReadError, Reader};
use crate::record::Stream;
use crate::schema::Schema;
use crate::volumes::Volume;

/// Events of one kind, or of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Events.
    pub events: u64,
    /// Bytes of their fields.
    pub bytes: u64,
}

/// One volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeStats {
    /// Its first event.
    pub first: Seq,
    /// Whether nothing is appended to it any more.
    pub is_sealed: bool,
    /// Bytes of its files.
    pub bytes: u64,
}

/// What a log consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The last event.
    pub last: Seq,
    /// When the first and the last input entered.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Steps that carry a digest of the engine.
    pub digests: u64,
    /// By type and version.
    pub by_schema: BTreeMap<Schema, Count>,
    /// By stream.
    pub by_stream: BTreeMap<Stream, Count>,
    /// The volumes in order.
    pub volumes: Vec<VolumeStats>,
}

impl Reader {
    /// Counts what the durable log consists of.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn stats(&self) -> Result<Stats, ReadError> {
        let mut stats = Stats { last: self.durable(), ..Stats::default() };
        for block in self.blocks(stats.last) {
            let block = block?;
            for seq in (block.first().0..=block.last().0).map(Seq) {
                let frame = block.frame(seq);
                let (stream, _) =
                    frame.stream().map_err(|damage| ReadError::Damaged { seq, damage })?;
                let bytes = frame.payload_bytes();
                stats.by_schema.entry(frame.schema()).or_default().add(bytes);
                stats.by_stream.entry(stream).or_default().add(bytes);
                stats.digests += u64::from(frame.digest().is_some());
                let first = stats.times.map_or(frame.at(), |(first, _)| first);
                stats.times = Some((first, frame.at()));
            }
        }
        for volume in self.volumes() {
            let first = volume.start().first;
            let (is_sealed, bytes) = match &volume {
                Volume::Sealed(sealed) => (sealed.is_sealed(), sealed.file_bytes()?),
                Volume::Active(active) => (false, active.file_bytes()?),
            };
            stats.volumes.push(VolumeStats { first, is_sealed, bytes });
        }
        Ok(stats)
    }
}

impl Count {
    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes as u64;
    }
}
