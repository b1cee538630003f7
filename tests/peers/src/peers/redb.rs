//! `redb`: a table of records by number. Records that are handed over together
//! share a transaction.
//!
//! Synced is `Durability::Immediate`. It has nothing that hands a commit to
//! the system without a sync: `Durability::None` is the closest, and promises
//! less, because the commit stays in the process until a later one is
//! `Immediate`. Reading is a scan of a database that was opened with
//! `set_check_integrity_on_open`, which verifies its pages' checksums; a scan
//! alone verifies nothing.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::{Pattern, Peer, Writer, check};
use crate::{Result, records::Records};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("log");

pub struct Redb;

struct Open {
    database: Database,
    records: Records,
    durability: Durability,
}

impl Peer for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn create(&self, dir: &Path, records: Records, pattern: Pattern) -> Result<Box<dyn Writer>> {
        let database = Database::create(dir.join("log.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        let durability = if pattern.synced { Durability::Immediate } else { Durability::None };
        Ok(Box::new(Open { database, records, durability }))
    }

    fn read(&self, dir: &Path, records: Records) -> Result<u64> {
        let mut builder = Database::builder();
        builder.set_check_integrity_on_open(true);
        let database = builder.open(dir.join("log.redb"))?;
        let table = database.begin_read()?.open_table(TABLE)?;
        let mut count = 0;
        for row in table.range::<u64>(..)? {
            let (number, record) = row?;
            check(record.value(), records, number.value())?;
            count += 1;
        }
        Ok(count)
    }
}

impl Writer for Open {
    fn append(&mut self, first: u64, end: u64) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        let mut table = transaction.open_table(TABLE)?;
        for number in first..end {
            table.insert(number, self.records.get(number))?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.database.begin_write()?.commit()?)
    }
}
