//! `ekv`, with checksums: records under their numbers. What is older than what
//! is kept is deleted in the transaction that writes.

use std::ops::Range;

use ekv::{Config, Database, config::MAX_KEY_SIZE};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;

use super::{
    peers::{Peer, kept, now, said},
    simulated::Simulated,
};
use crate::{Result, records::Records};

type Open<'a> = Database<&'a mut Simulated, NoopRawMutex>;

/// Bytes of the largest record, for reading.
const BUFFER: usize = 128;

pub struct Ekv {
    pub group: u64,
}

/// Keys are in the order of their bytes.
fn key(number: u64) -> [u8; 4] {
    (number as u32).to_be_bytes()
}

/// One transaction.
async fn write(database: &Open<'_>, records: Records, numbers: Range<u64>) -> Result<()> {
    let mut transaction = database.write_transaction().await;
    for number in numbers.clone() {
        if let Some(old) = number.checked_sub(kept(records)) {
            said(transaction.delete(&key(old)).await)?;
        }
    }
    for number in numbers {
        said(transaction.write(&key(number), records.get(number)).await)?;
    }
    said(transaction.commit().await)
}

impl Peer for Ekv {
    fn name(&self) -> &'static str {
        if self.group == 1 { "ekv" } else { "ekv, 100 in a transaction" }
    }

    fn group(&self) -> u64 {
        self.group
    }

    fn memory(&self) -> (usize, usize) {
        (size_of::<Open<'_>>(), 0)
    }

    fn format(&self, flash: &mut Simulated) -> Result<()> {
        said(now(Open::new(flash, Config::default()).format()))
    }

    fn append(&self, flash: &mut Simulated, records: Records, numbers: Range<u64>) -> Result<()> {
        let database = Open::new(flash, Config::default());
        for first in numbers.step_by(self.group as usize) {
            now(write(&database, records, first..first + self.group))?;
        }
        Ok(())
    }

    fn read(&self, flash: &mut Simulated, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        let database = Open::new(flash, Config::default());
        now(async {
            let transaction = database.read_transaction().await;
            let mut cursor = said(transaction.read_all().await)?;
            let (mut key, mut value) = ([0; MAX_KEY_SIZE], [0; BUFFER]);
            while let Some((_, len)) = said(cursor.next(&mut key, &mut value).await)? {
                visit(&value[..len]);
            }
            Ok(())
        })
    }
}
