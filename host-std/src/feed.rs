//! Many calls from rows, sharing syncs.
//!
//! The rows are those of a file ([`Rows`]), or come when they like
//! ([`RowStream`]): a feed never lets what it has called wait for the next row.

use std::{io::Read, time::Duration};

use interstice_core::{CallErrorKind, FunctionRef, SubscriptionFailure};
use thiserror::Error;

use crate::{
    database::{Database, DatabaseError, SnapshotFailure, log_error},
    file_log::FileLogError,
    text::{Place, Rows, RowsError},
};

mod row_stream;

pub use row_stream::RowStream;

/// How long a feed waits for a row before it says that none has come.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Where a [`Feed`] gets its rows from.
pub trait RowSource {
    /// The next row: the arguments of its call, in row layout, into `args`. A
    /// source that can waits for it no longer than `wait` says.
    ///
    /// # Errors
    ///
    /// After [`RowsError::Row`] the rows behind the bad one can still be had.
    fn next_row(
        &mut self,
        args: &mut Vec<u8>,
        wait: impl FnOnce() -> Duration,
    ) -> Result<NextRow, RowsError>;
}

/// What a [`RowSource`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRow {
    /// A row.
    Row(Place),
    /// No row yet.
    NotYet,
    /// No row any more.
    End,
}

/// A file always has its next row.
impl<R: Read> RowSource for Rows<R> {
    fn next_row(
        &mut self,
        args: &mut Vec<u8>,
        _: impl FnOnce() -> Duration,
    ) -> Result<NextRow, RowsError> {
        Ok(self.next(args)?.map_or(NextRow::End, NextRow::Row))
    }
}

/// Calls a reducer once per row.
///
/// A call counts as acknowledged when its commit is as durable as the
/// database's [`Durability`](crate::persistence::Durability) asks for. At the end
/// everything is on the disk.
pub struct Feed<'a, S> {
    database: &'a mut Database,
    reducer: FunctionRef,
    rows: S,
    args: Vec<u8>,
    place: Place,
    calls: u64,
    acknowledged: u64,
    failures: u64,
    first_failures: Vec<SubscriptionFailure>,
}

/// Failures of subscriptions that a feed keeps.
const FIRST_FAILURES: usize = 8;

/// What one step of a [`Feed`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One row became a call.
    Called,
    /// Everything so far is acknowledged.
    Synced,
    /// One row was left out.
    Skipped,
    /// No row has come for a while.
    Waiting,
    /// There is no row left, and everything is on the disk.
    End,
}

/// Why a row did not become a call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The row cannot be read.
    #[error("{0}")]
    Rows(#[from] RowsError),
    /// The call of a row was rolled back.
    #[error("line {}: {source}", place.line)]
    Call {
        /// The row.
        place: Place,
        /// Why.
        source: DatabaseError,
    },
    /// The log takes nothing more. What was not acknowledged may be lost.
    #[error("{0}")]
    Log(#[from] FileLogError),
}

impl FeedError {
    /// Whether only this row is bad, so that the rows behind it can be fed.
    pub fn is_of_one_row(&self) -> bool {
        match self {
            Self::Rows(error) => matches!(error, RowsError::Row { .. }),
            Self::Call { source, .. } => !matches!(
                source.kind,
                CallErrorKind::Log(_) | CallErrorKind::Poisoned | CallErrorKind::Behind { .. }
            ),
            Self::Log(_) => false,
        }
    }

    /// The line that the row begins on, counted from 1, if it is about one.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Rows(RowsError::Row { place, .. }) | Self::Call { place, .. } => Some(place.line),
            Self::Rows(_) | Self::Log(_) => None,
        }
    }
}

impl<'a, S: RowSource> Feed<'a, S> {
    /// Prepares to call `reducer` with `rows`.
    pub fn new(database: &'a mut Database, reducer: FunctionRef, rows: S) -> Self {
        let place = Place { row: 0, line: 0 };
        let args = Vec::new();
        Self {
            database,
            reducer,
            rows,
            args,
            place,
            calls: 0,
            acknowledged: 0,
            failures: 0,
            first_failures: Vec::new(),
        }
    }

    /// Leaves the next row out, without looking into it.
    ///
    /// # Errors
    ///
    /// When the rows cannot be read.
    pub fn skip(&mut self) -> Result<Step, FeedError> {
        match self.rows.next_row(&mut self.args, || WAIT_MAX) {
            Ok(NextRow::Row(_)) | Err(RowsError::Row { .. }) => Ok(Step::Skipped),
            Ok(NextRow::NotYet) => Ok(Step::Waiting),
            Ok(NextRow::End) => Ok(Step::End),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes one call; or, when no row comes, what was called durable as soon as
    /// that is due. Nothing of a row that fails is kept; the rows behind it
    /// can be fed if the error [is of one row](FeedError::is_of_one_row).
    ///
    /// # Errors
    ///
    /// See [`FeedError`].
    pub fn step(&mut self) -> Result<Step, FeedError> {
        let wait = || self.database.sync_due_in().map_or(WAIT_MAX, |due| due.min(WAIT_MAX));
        let place = match self.rows.next_row(&mut self.args, wait) {
            Ok(NextRow::Row(place)) => place,
            Ok(NextRow::NotYet) => return self.sync_if_due(Step::Waiting),
            Ok(NextRow::End) => {
                self.sync()?;
                return Ok(Step::End);
            }
            Err(error) => {
                self.sync_if_due(Step::Waiting)?;
                return Err(error.into());
            }
        };
        self.place = place;
        match self.database.append(self.reducer, &self.args) {
            Ok(called) => {
                self.calls += 1;
                self.failures += called.failures.len() as u64;
                let room = FIRST_FAILURES.saturating_sub(self.first_failures.len());
                self.first_failures.extend(called.failures.into_iter().take(room));
            }
            Err(source) => {
                let source = match source.kind {
                    CallErrorKind::Log(_) | CallErrorKind::Poisoned => source,
                    // The call is committed, though what runs behind it is not.
                    CallErrorKind::Behind { .. } => {
                        self.calls += 1;
                        match self.database.sync() {
                            Ok(()) => {
                                self.acknowledged = self.calls;
                                source
                            }
                            Err(error) => log_error(error),
                        }
                    }
                    // What was called before does not wait for a good row.
                    _ => {
                        self.sync_if_due(Step::Waiting)?;
                        source
                    }
                };
                return Err(FeedError::Call { place, source });
            }
        }
        self.sync_if_due(Step::Called)
    }

    fn sync_if_due(&mut self, otherwise: Step) -> Result<Step, FeedError> {
        if self.acknowledged == self.calls || !self.database.sync_if_due()? {
            return Ok(otherwise);
        }
        self.acknowledged = self.calls;
        Ok(Step::Synced)
    }

    /// Makes everything so far durable, whatever the durability, and
    /// acknowledges it.
    ///
    /// # Errors
    ///
    /// When the log cannot be synced.
    pub fn sync(&mut self) -> Result<(), FeedError> {
        self.database.sync()?;
        self.acknowledged = self.calls;
        Ok(())
    }

    /// Takes a snapshot when one is due.
    ///
    /// # Errors
    ///
    /// See [`SnapshotFailure`]; what was called is as good as before.
    pub fn snapshot_if_due(&mut self) -> Result<(), SnapshotFailure> {
        self.database.snapshot_if_due().map(|_| ())
    }

    /// The last row that was called with, or that failed.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Calls so far that are acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Subscriptions that ran behind the calls and failed. Their records say why.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// The first few of them.
    pub fn first_failures(&self) -> &[SubscriptionFailure] {
        &self.first_failures
    }

    /// The database.
    pub fn database(&self) -> &Database {
        self.database
    }
}
