//! Scans: rows in key order, found by the host.

use alloc::vec::Vec;
use core::{
    marker::PhantomData,
    ops::{Bound, RangeBounds},
};

use interstice_abi::{filter::ScanWriter, ids::NameId};

use crate::{
    encoding::{from_bytes, with_encoded},
    filter::Filter,
    host::{self, ScanHandle},
    key::Prefix,
    table::{Declared, MayDelete, Table},
};

/// Bytes of rows fetched by one host call, when they are not larger than that.
const BUFFER_LEN: usize = 1024;

/// A scan being described: which rows of the table `T`, in which order.
///
/// Everything said here is evaluated by the host; the module sees only the
/// rows that match, many per host call. A scan is iterated over like a
/// collection, or ended by [`first`](Scan::first), [`count`](Scan::count),
/// [`to_vec`](Scan::to_vec) or [`delete`](Scan::delete).
#[must_use = "a scan does nothing until it is iterated, counted or deleted"]
pub struct Scan<T, A> {
    description: ScanWriter,
    limit: u32,
    access: PhantomData<fn(T) -> A>,
}

impl<T: Table, A: Declared> Scan<T, A> {
    pub(crate) fn all() -> Self {
        Self { description: all_rows(), limit: u32::MAX, access: PhantomData }
    }

    fn describe(mut self, more: impl FnOnce(ScanWriter) -> ScanWriter) -> Self {
        self.description = more(self.description);
        self
    }

    /// Only rows whose key lies in `range`. Its bounds are whole keys or their
    /// first columns; an included prefix includes all keys that begin with it.
    pub fn range<P: Prefix<T::Key>>(self, range: impl RangeBounds<P>) -> Self {
        let lower = match range.start_bound() {
            Bound::Unbounded => self,
            Bound::Included(key) => self.bound(key, ScanWriter::from),
            Bound::Excluded(key) => self.bound(key, ScanWriter::after),
        };
        match range.end_bound() {
            Bound::Unbounded => lower,
            Bound::Included(key) => lower.bound(key, ScanWriter::to),
            Bound::Excluded(key) => lower.bound(key, ScanWriter::before),
        }
    }

    /// Only rows whose key begins with these columns.
    pub fn prefix<P: Prefix<T::Key>>(self, prefix: P) -> Self {
        self.bound(&prefix, ScanWriter::prefix)
    }

    fn bound<P: Prefix<T::Key>>(
        self,
        key: &P,
        bound: fn(ScanWriter, u8, &[u8]) -> ScanWriter,
    ) -> Self {
        with_encoded(&key.encoded_prefix(), |key| {
            self.describe(|description| bound(description, P::COLUMNS, key))
        })
    }

    /// Only rows that satisfy `filter`; several filters must all be satisfied.
    pub fn filter(self, filter: Filter<T>) -> Self {
        self.describe(|description| description.filter(filter.condition()))
    }

    /// From the largest key to the smallest.
    pub fn rev(self) -> Self {
        self.describe(ScanWriter::reverse)
    }

    /// At most this many rows.
    pub fn limit(mut self, rows: u32) -> Self {
        self.limit = self.limit.min(rows);
        let limit = self.limit;
        self.describe(|description| description.limit(limit))
    }

    /// Starts the scan.
    pub fn iter(self) -> Rows<T> {
        let capacity = if T::IS_FIXED {
            let entry = 4 + size_of::<T::Slot>();
            entry * (BUFFER_LEN / entry).clamp(1, self.limit.max(1) as usize)
        } else {
            BUFFER_LEN
        };
        let batches = Batches::open(T::ID, self.description, capacity);
        Rows { batches, table: PhantomData }
    }

    /// The first row.
    pub fn first(self) -> Option<T> {
        self.limit(1).iter().next()
    }

    /// All rows.
    pub fn to_vec(self) -> Vec<T> {
        let mut rows = Vec::new();
        // Not `collect`: its guess of a length is code, and always zero here.
        for row in self {
            rows.push(row);
        }
        rows
    }

    /// How many rows there are. They stay in the host.
    pub fn count(self) -> u64 {
        host::count(T::ID, &self.description.finish())
    }

    /// Deletes the rows, and returns how many. They stay in the host.
    pub fn delete(self) -> u64
    where
        A: MayDelete<T>,
    {
        host::delete_where(T::ID, &self.description.finish())
    }
}

// Its many stores, once per module instead of once per scan.
#[inline(never)]
fn all_rows() -> ScanWriter {
    ScanWriter::new()
}

impl<T: Table, A: Declared> IntoIterator for Scan<T, A> {
    type Item = T;
    type IntoIter = Rows<T>;

    fn into_iter(self) -> Rows<T> {
        self.iter()
    }
}

/// The rows of a running scan.
pub struct Rows<T> {
    batches: Batches,
    table: PhantomData<fn() -> T>,
}

impl<T: Table> Iterator for Rows<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.batches.next_row().map(from_bytes)
    }
}

/// The rows of a running scan as bytes, fetched many at a time. Code for all
/// tables, so that a module has it once.
struct Batches {
    scan: ScanHandle,
    /// Rows that were fetched, each behind its length.
    buffer: Vec<u8>,
    /// The next one.
    at: usize,
}

impl Batches {
    fn open(table: NameId, description: ScanWriter, capacity: usize) -> Self {
        let scan = host::scan_open(table, &description.finish());
        Self { scan, buffer: host::room(capacity), at: 0 }
    }

    fn next_row(&mut self) -> Option<&[u8]> {
        if self.at >= self.buffer.len() && !self.fetch() {
            return None;
        }
        let (len, rest) = self.buffer.get(self.at..)?.split_first_chunk()?;
        let len = u32::from_le_bytes(*len) as usize;
        self.at = self.at.wrapping_add(4).wrapping_add(len);
        rest.get(..len)
    }

    /// Fetches the next rows; false at the end.
    fn fetch(&mut self) -> bool {
        self.at = 0;
        while !host::scan_next(&self.scan, &mut self.buffer) {
            // At least twice as much: that is how a vector grows.
            self.buffer.reserve(self.buffer.capacity().saturating_add(1));
        }
        !self.buffer.is_empty()
    }
}

// Scans are closed when the call ends, but only so many may be open at once.
impl Drop for Batches {
    fn drop(&mut self) {
        host::scan_close(&self.scan);
    }
}
