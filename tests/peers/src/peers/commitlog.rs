//! `spacetimedb-commitlog`. A record is a transaction of its own; those that
//! are flushed together are one of its commits.
//!
//! Handed over by `flush`, synced by `flush_and_sync` (`fdatasync`). Reading
//! is `fold_transactions`, its way to replay: it verifies each commit's
//! checksum. Its payload has no lengths; the decoder here knows them.

use std::{cell::Cell, error::Error, io, path::Path};

use spacetimedb_commitlog::{
    Commitlog, Decoder, Encode, Options, error::Traversal, fold_transactions,
};
use spacetimedb_paths::{FromPathUnchecked, server::CommitLogDir};
use spacetimedb_sats::buffer::{BufReader, BufWriter, DecodeError};

use super::{Pattern, Peer, Writer, check};
use crate::{Result, records::Records};

pub struct Spacetime {
    pub segment_bytes: u64,
}

struct Open {
    log: Commitlog<Record>,
    records: Records,
    synced: bool,
}

struct Record(&'static [u8]);

impl Encode for Record {
    fn encode_record<W: BufWriter>(&self, writer: &mut W) {
        writer.put_slice(self.0);
    }
}

impl Peer for Spacetime {
    fn name(&self) -> &'static str {
        "spacetimedb-commitlog"
    }

    fn create(&self, dir: &Path, records: Records, pattern: Pattern) -> Result<Box<dyn Writer>> {
        let dir = CommitLogDir::from_path_unchecked(dir);
        let options = Options { max_segment_size: self.segment_bytes, ..Options::DEFAULT };
        let log = Commitlog::open(dir, options)?;
        Ok(Box::new(Open { log, records, synced: pattern.synced }))
    }

    fn read(&self, dir: &Path, records: Records) -> Result<u64> {
        let reading = Reading { records, count: Cell::new(0) };
        fold_transactions(CommitLogDir::from_path_unchecked(dir), &reading)?;
        Ok(reading.count.get())
    }
}

impl Writer for Open {
    fn append(&mut self, first: u64, end: u64) -> Result<()> {
        for number in first..end {
            let appended = self.log.append_maybe_flush(Record(self.records.get(number)));
            appended.map_err(|error| error.source)?;
        }
        match self.synced {
            true => self.log.flush_and_sync()?,
            false => self.log.flush()?,
        };
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.log.flush_and_sync()?;
        Ok(())
    }
}

struct Reading {
    records: Records,
    count: Cell<u64>,
}

impl Decoder for &Reading {
    type Record = Record;
    type Error = Failed;

    fn decode_record<'a, R: BufReader<'a>>(
        &self,
        _: u8,
        number: u64,
        reader: &mut R,
    ) -> std::result::Result<Record, Failed> {
        self.consume_record(0, number, reader)?;
        Ok(Record(self.records.get(number)))
    }

    fn consume_record<'a, R: BufReader<'a>>(
        &self,
        _: u8,
        number: u64,
        reader: &mut R,
    ) -> std::result::Result<(), Failed> {
        check(reader.get_slice(self.records.len)?, self.records, number).map_err(Failed)?;
        self.count.set(self.count.get() + 1);
        Ok(())
    }

    fn skip_record<'a, R: BufReader<'a>>(
        &self,
        _: u8,
        _: u64,
        reader: &mut R,
    ) -> std::result::Result<(), Failed> {
        reader.get_slice(self.records.len)?;
        Ok(())
    }
}

#[derive(Debug)]
struct Failed(Box<dyn Error>);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Failed {}

impl From<DecodeError> for Failed {
    fn from(error: DecodeError) -> Self {
        Self(error.into())
    }
}

impl From<Traversal> for Failed {
    fn from(error: Traversal) -> Self {
        Self(error.into())
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self(error.into())
    }
}
