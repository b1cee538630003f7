//! Rows that come when they like: from a pipe, or somebody who types.
//!
//! Reading waits for the other side, so it has a thread of its own. A thread
//! that waits there ends with the process, or when the other side says more and
//! nobody takes it.

use std::{
    io::{self, Read},
    mem,
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError},
    thread,
    time::Duration,
};

use interstice_core::abi::layout::Layout;

use super::{NextRow, RowSource};
use crate::text::{Place, Rows, RowsError, RowsFormat};

/// Rows that are read ahead of those that are taken.
const ROWS_AHEAD: usize = 64;

/// The rows of an input that keeps its reader waiting.
#[derive(Debug)]
pub struct RowStream {
    arrivals: Receiver<Arrival>,
}

#[derive(Debug)]
enum Arrival {
    /// The rows fit. Columns that no parameter takes.
    Begin(Vec<String>),
    Row(Place, Vec<u8>),
    Failed(RowsError),
    End,
}

impl RowStream {
    /// Begins to read, as [`Rows::new`] does.
    ///
    /// # Errors
    ///
    /// When the system has no thread for it.
    pub fn start(
        input: impl Read + Send + 'static,
        format: RowsFormat,
        params: &Layout,
    ) -> io::Result<Self> {
        let (sender, arrivals) = mpsc::sync_channel(ROWS_AHEAD);
        let params = params.clone();
        let read = move || {
            // Who takes no more does not want to hear of it either.
            let _ = read_rows(input, format, &params, &sender);
        };
        thread::Builder::new().name("rows".to_owned()).spawn(read)?;
        Ok(Self { arrivals })
    }

    /// Waits for the beginning no longer than `wait`: for CSV the header. Comes
    /// before the rows. Returns the columns that no parameter takes.
    ///
    /// # Errors
    ///
    /// As [`Rows::new`].
    pub fn begin(&mut self, wait: Duration) -> Result<Option<Vec<String>>, RowsError> {
        match self.arrivals.recv_timeout(wait) {
            Ok(Arrival::Begin(unused)) => Ok(Some(unused)),
            Ok(Arrival::Failed(error)) => Err(error),
            Ok(Arrival::Row(..) | Arrival::End) => Ok(Some(Vec::new())),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(reader_is_gone()),
        }
    }
}

impl RowSource for RowStream {
    fn next_row(
        &mut self,
        args: &mut Vec<u8>,
        wait: impl FnOnce() -> Duration,
    ) -> Result<NextRow, RowsError> {
        let arrival = match self.arrivals.try_recv() {
            Err(TryRecvError::Empty) => self.arrivals.recv_timeout(wait()),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Ok(arrival) => Ok(arrival),
        };
        match arrival {
            Ok(Arrival::Row(place, row)) => {
                *args = row;
                Ok(NextRow::Row(place))
            }
            Ok(Arrival::Failed(error)) => Err(error),
            Ok(Arrival::End) => Ok(NextRow::End),
            Ok(Arrival::Begin(_)) | Err(RecvTimeoutError::Timeout) => Ok(NextRow::NotYet),
            Err(RecvTimeoutError::Disconnected) => Err(reader_is_gone()),
        }
    }
}

/// The thread has ended and has not said why.
fn reader_is_gone() -> RowsError {
    io::Error::other("nobody reads it any more").into()
}

/// Reads everything, up to the end or what ends it early.
fn read_rows(
    input: impl Read,
    format: RowsFormat,
    params: &Layout,
    to: &SyncSender<Arrival>,
) -> Result<(), mpsc::SendError<Arrival>> {
    let mut rows = match Rows::new(input, format, params) {
        Ok(rows) => rows,
        Err(error) => return to.send(Arrival::Failed(error)),
    };
    to.send(Arrival::Begin(rows.unused_columns().to_vec()))?;
    let mut args = Vec::new();
    loop {
        match rows.next(&mut args) {
            Ok(Some(place)) => to.send(Arrival::Row(place, mem::take(&mut args)))?,
            Ok(None) => return to.send(Arrival::End),
            Err(error @ RowsError::Row { .. }) => to.send(Arrival::Failed(error))?,
            Err(error) => return to.send(Arrival::Failed(error)),
        }
    }
}
