//! The stores that are measured. Each keeps an event as position, time, cause, type and fields, and
//! gives it back validated and decoded.

mod fjall;
mod ours;
mod raw;
mod redb;
mod sqlite;

use std::path::Path;

use crate::Failure;
use crate::events::Stored;

/// A store of one kind.
pub(crate) trait Store {
    /// Appends a batch and returns when it is durable.
    fn append(&mut self, batch: &Stored) -> Result<(), Failure>;

    /// Reads and decodes everything; the number of events.
    fn scan(&self) -> Result<u64, Failure>;
}

/// Which store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Raw,
    RawPrewritten,
    Redb,
    Fjall,
    Sqlite,
}

pub(crate) const KINDS: [Kind; 6] =
    [Kind::Ours, Kind::Raw, Kind::RawPrewritten, Kind::Redb, Kind::Fjall, Kind::Sqlite];

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "eventlog",
            Self::Raw => "raw-fdatasync",
            Self::RawPrewritten => "raw-prewritten",
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            Self::Sqlite => "sqlite-wal-full",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) fn open(self, dir: &Path) -> Result<Box<dyn Store>, Failure> {
        std::fs::create_dir_all(dir)?;
        Ok(match self {
            Self::Ours => Box::new(ours::Ours::open(dir)?),
            Self::Raw => Box::new(raw::Raw::open(dir, 0)?),
            Self::RawPrewritten => Box::new(raw::Raw::open(dir, 512 * 1024 * 1024)?),
            Self::Redb => Box::new(redb::Redb::open(dir)?),
            Self::Fjall => Box::new(fjall::Fjall::open(dir)?),
            Self::Sqlite => Box::new(sqlite::Sqlite::open(dir)?),
        })
    }
}

/// An event as one value: type, version, time and cause before the fields.
fn value(seq: u64, (schema, payload): &(eventlog::Schema, Vec<u8>), out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&schema.kind.to_le_bytes());
    out.push(schema.version);
    out.extend_from_slice(&1_700_000_000_000_000u64.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Decodes what [`value`] wrote.
fn decode(value: &[u8]) -> Result<(), Failure> {
    let schema =
        eventlog::Schema { kind: u16::from_le_bytes([value[0], value[1]]), version: value[2] };
    std::hint::black_box(eventlog::decode(schema, &value[19..])?);
    Ok(())
}

/// Bytes on disk of a folder.
pub(crate) fn bytes(dir: &Path) -> Result<u64, Failure> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() {
            bytes(&entry.path())?
        } else {
            std::os::unix::fs::MetadataExt::blocks(&entry.metadata()?) * 512
        };
    }
    Ok(sum)
}
