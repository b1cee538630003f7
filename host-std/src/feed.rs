//! Many calls from a file of rows, sharing syncs.

use std::io::Read;

use interstice_core::{CallErrorKind, FunctionRef, SubscriptionFailure};
use thiserror::Error;

use crate::{
    database::{Database, DatabaseError},
    file_log::FileLogError,
    text::{Place, Rows, RowsError},
};

/// Calls a reducer once per row of a file.
///
/// A call counts as acknowledged when its commit is as durable as the
/// database's [`Durability`](crate::persistence::Durability) asks for. At the end
/// everything is on the disk.
pub struct Feed<'a, R> {
    database: &'a mut Database,
    reducer: FunctionRef,
    rows: Rows<R>,
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
    /// One row became a call, and everything so far is acknowledged.
    Synced,
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
            Self::Call { source, .. } => {
                !matches!(source.kind, CallErrorKind::Log(_) | CallErrorKind::Poisoned)
            }
            Self::Log(_) => false,
        }
    }
}

impl<'a, R: Read> Feed<'a, R> {
    /// Prepares to call `reducer` with `rows`.
    pub fn new(database: &'a mut Database, reducer: FunctionRef, rows: Rows<R>) -> Self {
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

    /// Leaves the next row out, without looking into it. Returns whether there
    /// was one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn skip(&mut self) -> Result<bool, FeedError> {
        match self.rows.next(&mut self.args) {
            Ok(place) => Ok(place.is_some()),
            Err(RowsError::Row { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes one call. Nothing of a row that fails is kept; the rows behind it
    /// can be fed if the error [is of one row](FeedError::is_of_one_row).
    ///
    /// # Errors
    ///
    /// See [`FeedError`].
    pub fn step(&mut self) -> Result<Step, FeedError> {
        let Some(place) = self.rows.next(&mut self.args)? else {
            self.sync()?;
            return Ok(Step::End);
        };
        self.place = place;
        match self.database.append(self.reducer, &self.args) {
            Ok(called) => {
                self.calls += 1;
                self.failures += called.failures.len() as u64;
                let room = FIRST_FAILURES.saturating_sub(self.first_failures.len());
                self.first_failures.extend(called.failures.into_iter().take(room));
            }
            Err(source) => return Err(FeedError::Call { place, source }),
        }
        if !self.database.sync_if_due()? {
            return Ok(Step::Called);
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
