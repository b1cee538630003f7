//! `interstice`: a `FileLog`. A record is a commit of its own.
//!
//! Handed over by `FileLog::write`, synced by `Log::sync`. Reading is what
//! start-up does: `LogReader` verifies each frame's checksum and chain.

use std::{path::Path, sync::Arc};

use interstice::{
    core::{
        TxOffset,
        log::{Log, frame::LogHeader},
    },
    file_log::{FileLog, LogReader},
    file_system::{SharedFileSystem, System},
};

use super::{Pattern, Peer, Writer, check};
use crate::{Result, records::Records};

pub struct Interstice {
    pub segment_bytes: u64,
}

struct Open {
    log: FileLog,
    records: Records,
    synced: bool,
}

impl Peer for Interstice {
    fn name(&self) -> &'static str {
        "interstice"
    }

    fn create(&self, dir: &Path, records: Records, pattern: Pattern) -> Result<Box<dyn Writer>> {
        let files: SharedFileSystem = Arc::new(System);
        FileLog::create(&files, dir, LogHeader { log_id: [7; 16], seed: 7 })?;
        let mut reader = LogReader::open(&files, dir)?;
        while reader.next_frame()?.is_some() {}
        let log = FileLog::open(&files, dir, &reader.end(), self.segment_bytes)?;
        Ok(Box::new(Open { log, records, synced: pattern.synced }))
    }

    fn read(&self, dir: &Path, records: Records) -> Result<u64> {
        let files: SharedFileSystem = Arc::new(System);
        let mut reader = LogReader::open(&files, dir)?;
        let mut count = 0;
        while let Some(frame) = reader.next_frame()? {
            for (offset, commit) in frame.commits() {
                check(commit, records, offset.0)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

impl Writer for Open {
    fn append(&mut self, first: u64, end: u64) -> Result<()> {
        for number in first..end {
            self.log.append(TxOffset(number), self.records.get(number))?;
        }
        match self.synced {
            true => self.log.sync()?,
            false => self.log.write()?,
        }
        Ok(())
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        Ok(self.log.sync()?)
    }
}
