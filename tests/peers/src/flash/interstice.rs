//! Ours. The state that its snapshots carry is a number.

use std::ops::Range;

use interstice::core::{TxOffset, log::frame::LogHeader};
use interstice_embedded::flash_log::{Entry, FlashLog, FlashLogError, RECORD_LEN};

use super::{
    peers::{Peer, said},
    simulated::Simulated,
};
use crate::{Result, records::Records};

type Log<'a> = FlashLog<&'a mut Simulated>;

pub struct Interstice;

impl Peer for Interstice {
    fn name(&self) -> &'static str {
        "interstice"
    }

    fn memory(&self) -> (usize, usize) {
        (size_of::<Log<'_>>() - RECORD_LEN, RECORD_LEN)
    }

    fn format(&self, flash: &mut Simulated) -> Result<()> {
        said(Log::format(flash, LogHeader { log_id: [7; 16], seed: 1 })).map(drop)
    }

    fn append(&self, flash: &mut Simulated, records: Records, numbers: Range<u64>) -> Result<()> {
        let (mut log, _) = said(Log::mount(flash))?;
        for number in numbers {
            let (offset, record) = (TxOffset(log.next_offset().0), records.get(number));
            if log.append(offset, record) == Err(FlashLogError::NeedsSnapshot) {
                said(log.begin_snapshot())?;
                said(log.write_snapshot(&number.to_le_bytes()))?;
                said(log.finish_snapshot())?;
                said(log.append(offset, record))?;
            }
        }
        said(log.mark())
    }

    fn read(&self, flash: &mut Simulated, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        let (mut log, mounted) = said(Log::mount(flash))?;
        if let Some(torn) = mounted.torn {
            return Err(format!("{torn:?}").into());
        }
        said(log.replay(&mut |entry| {
            if let Entry::Commit(_, record) = entry {
                visit(record);
            }
            Ok::<(), ()>(())
        }))
    }
}
