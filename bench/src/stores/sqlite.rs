//! SQLite in WAL mode with `synchronous = FULL`.

use std::path::Path;

use rusqlite::Connection;

use super::{Store, decode, value};
use crate::Failure;
use crate::events::Stored;

pub(crate) struct Sqlite {
    connection: Connection,
    seq: i64,
}

impl Sqlite {
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let connection = Connection::open(dir.join("sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, value BLOB NOT NULL)",
        )?;
        Ok(Self { connection, seq: 0 })
    }
}

impl Store for Sqlite {
    fn append(&mut self, batch: &Stored) -> Result<(), Failure> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO events VALUES (?1, ?2)")?;
            let mut buffer = Vec::new();
            for row in &batch.rows {
                self.seq += 1;
                value(self.seq as u64, row, &mut buffer);
                insert.execute((self.seq, &buffer[..]))?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn scan(&self) -> Result<u64, Failure> {
        let mut select = self.connection.prepare("SELECT value FROM events ORDER BY seq")?;
        let mut rows = select.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            decode(row.get_ref(0)?.as_blob()?)?;
            count += 1;
        }
        Ok(count)
    }
}
