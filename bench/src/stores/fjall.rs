//! fjall with `persist(SyncData)` after each batch.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Store, decode, value};
use crate::Failure;
use crate::events::Stored;

pub(crate) struct Fjall {
    database: Database,
    events: Keyspace,
    seq: u64,
}

impl Fjall {
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let database = Database::builder(dir.join("fjall")).open()?;
        let events = database.keyspace("events", KeyspaceCreateOptions::default)?;
        Ok(Self { database, events, seq: 0 })
    }
}

impl Store for Fjall {
    fn append(&mut self, batch: &Stored) -> Result<(), Failure> {
        let mut writes = self.database.batch();
        let mut buffer = Vec::new();
        for row in &batch.rows {
            self.seq += 1;
            value(self.seq, row, &mut buffer);
            writes.insert(&self.events, self.seq.to_be_bytes(), &buffer[..]);
        }
        writes.commit()?;
        self.database.persist(PersistMode::SyncData)?;
        Ok(())
    }

    fn scan(&self) -> Result<u64, Failure> {
        let mut count = 0;
        for entry in self.events.iter() {
            decode(&entry.value()?)?;
            count += 1;
        }
        Ok(count)
    }
}
