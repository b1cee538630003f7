//! Committed changes, kept for the host that watches tables.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use crate::{
    ids::{TableId, Timestamp, TxOffset},
    state::CommittedState,
    transaction::Transaction,
};

/// A change of one row of a watched table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedChange {
    /// The commit that made it.
    pub offset: TxOffset,
    /// The time of that commit.
    pub time: Timestamp,
    /// The table.
    pub table: TableId,
    /// The row before, in row layout; `None` when it was inserted.
    pub old: Option<Box<[u8]>>,
    /// The row after, in row layout; `None` when it was deleted.
    pub new: Option<Box<[u8]>>,
}

/// Which tables are watched, and what has changed in them.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    tables: BTreeSet<TableId>,
    changes: Vec<CommittedChange>,
}

impl Watch {
    pub(crate) fn add(&mut self, table: TableId) {
        self.tables.insert(table);
    }

    pub(crate) fn remove(&mut self, table: TableId) {
        self.tables.remove(&table);
    }

    pub(crate) fn take(&mut self) -> Vec<CommittedChange> {
        core::mem::take(&mut self.changes)
    }

    /// Whether nothing is watched, so that nobody pays for it.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.tables.is_empty()
    }

    /// Keeps the changes of a transaction that is sealed and appended, and not
    /// yet applied to `state`.
    pub(crate) fn keep(
        &mut self,
        state: &CommittedState,
        transaction: &Transaction,
        time: Timestamp,
    ) {
        let watched =
            transaction.writes().iter().filter(|write| self.tables.contains(&write.table));
        for write in watched {
            let table = state.table_by_id(write.table).filter(|_| write.existed);
            let old = table.and_then(|table| table.get(&write.key));
            self.changes.push(CommittedChange {
                offset: state.next_offset(),
                time,
                table: write.table,
                old: old.map(Box::from),
                new: write.new.as_deref().map(Box::from),
            });
        }
    }
}
