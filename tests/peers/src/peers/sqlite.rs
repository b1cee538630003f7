//! `rusqlite`, with SQLite built in: a table of records by number, in WAL mode.
//! Records that are handed over together share a transaction.
//!
//! Handed over is `synchronous=NORMAL`: a commit is written to the WAL, which
//! is synced only at a checkpoint (every 1,000 pages). Synced is
//! `synchronous=FULL`: the WAL is synced at each commit. Reading is a scan of
//! the closed database; the file of rows has no checksums.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{Pattern, Peer, Writer, check};
use crate::{Result, records::Records};

pub struct Sqlite;

struct Open {
    connection: Connection,
    records: Records,
}

impl Peer for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn verifies(&self) -> bool {
        false
    }

    fn create(&self, dir: &Path, records: Records, pattern: Pattern) -> Result<Box<dyn Writer>> {
        let connection = Connection::open(dir.join("log.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let synchronous = if pattern.synced { "full" } else { "normal" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, record BLOB)", [])?;
        Ok(Box::new(Open { connection, records }))
    }

    fn read(&self, dir: &Path, records: Records) -> Result<u64> {
        let connection = Connection::open(dir.join("log.sqlite"))?;
        let mut select = connection.prepare("SELECT number, record FROM log ORDER BY number")?;
        let mut rows = select.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            check(row.get_ref(1)?.as_blob()?, records, number.cast_unsigned())?;
            count += 1;
        }
        Ok(count)
    }
}

impl Writer for Open {
    fn append(&mut self, first: u64, end: u64) -> Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        let mut insert = transaction.prepare_cached("INSERT INTO log VALUES (?1, ?2)")?;
        for number in first..end {
            insert.execute(params![number.cast_signed(), self.records.get(number)])?;
        }
        drop(insert);
        Ok(transaction.commit()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.connection.close().map_err(|(_, error)| error.into())
    }
}
