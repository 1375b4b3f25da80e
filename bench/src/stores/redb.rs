//! redb with immediate durability, its default.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Store, decode, value};
use crate::Failure;
use crate::events::Stored;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

pub(crate) struct Redb {
    database: Database,
    seq: u64,
}

impl Redb {
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let database = Database::create(dir.join("redb"))?;
        Ok(Self { database, seq: 0 })
    }
}

impl Store for Redb {
    fn append(&mut self, batch: &Stored) -> Result<(), Failure> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(EVENTS)?;
            let mut buffer = Vec::new();
            for row in &batch.rows {
                self.seq += 1;
                value(self.seq, row, &mut buffer);
                table.insert(self.seq, &buffer[..])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn scan(&self) -> Result<u64, Failure> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(EVENTS)?;
        let mut count = 0;
        for entry in table.iter()? {
            decode(entry?.1.value())?;
            count += 1;
        }
        Ok(count)
    }
}
