//! Rows by range and filter. Filters run here, so that a guest sees only the
//! rows it asked for.

use alloc::vec::Vec;
use core::ops::Bound;

use interstice_abi::{errno::Errno, filter::Scan, key::Key, schema::AccessSet};

use super::{Host, cost, slice, slice_mut, table, table_of};
use crate::{
    error::{Failure, Limit, Rule},
    ids::TableId,
    transaction::Place,
    world::{OpenScan, World},
};

/// Bytes of the length in front of each row that a scan returns.
const LENGTH: usize = 4;

pub(crate) fn scan_open(
    host: &mut Host<'_>,
    table: i32,
    ptr: i32,
    len: i32,
) -> Result<i32, Failure> {
    let id = host.table(table, AccessSet::READ)?;
    let scan = take_scan(host, id, ptr, len)?;
    let limit = host.world.state.limits().open_scans;
    match host.world.open_scan(id, scan) {
        Some(handle) => Ok(handle as i32),
        None => Err(Failure::Limit(Limit::Scans { limit })),
    }
}

pub(crate) fn scan_close(host: &mut Host<'_>, handle: i32) -> Result<(), Failure> {
    let handle = handle as u32;
    match host.world.scan_slot(handle) {
        Some(slot) => {
            *slot = None;
            Ok(())
        }
        None => Err(Failure::Rule(Rule::UnknownScan { handle })),
    }
}

pub(crate) fn scan_next(
    host: &mut Host<'_>,
    handle: i32,
    ptr: i32,
    capacity: i32,
) -> Result<i32, Failure> {
    let unknown = || Failure::Rule(Rule::UnknownScan { handle: handle as u32 });
    let mut open =
        host.world.scan_slot(handle as u32).and_then(Option::take).ok_or_else(unknown)?;
    let written = fill(host, &mut open, ptr, capacity);
    if let Some(slot) = host.world.scans.get_mut(handle as u32 as usize) {
        *slot = Some(open);
    }
    written
}

/// Writes the next rows of a scan to guest memory, as many as fit.
fn fill(host: &mut Host<'_>, open: &mut OpenScan, ptr: i32, capacity: i32) -> Result<i32, Failure> {
    // The whole buffer must be there, whatever comes to be written into it.
    let capacity = slice(host.memory, ptr, capacity)?.len().min(i32::MAX as usize);
    let mut budget = Budget::new(host.fuel);
    let World { state, transaction, .. } = &*host.world;
    let table = table_of(state, open.table)?;
    let (lower, upper) = resume(&open.scan, open.last.as_ref());
    let mut last = None;
    let mut written = 0;
    let mut too_small = false;
    for (place, row) in transaction.range(table, lower, upper, open.scan.reverse()) {
        if open.left == 0 || !budget.take(row_cost(&open.scan, row)) {
            break;
        }
        let Some(row) = row.filter(|row| open.scan.matches(row)) else {
            last = Some(place);
            continue;
        };
        if row.len() + LENGTH > capacity - written {
            too_small = written == 0;
            break;
        }
        let out = slice_mut(host.memory, ptr.wrapping_add(written as i32), row.len() + LENGTH)?;
        out[..LENGTH].copy_from_slice(&(row.len() as u32).to_le_bytes());
        out[LENGTH..].copy_from_slice(row);
        written += out.len();
        open.left -= 1;
        last = Some(place);
    }
    if let Some(place) = last {
        open.last = Some(place.key());
    }
    budget.settle(host)?;
    host.charge_bytes(written)?;
    Ok(if too_small { Errno::BufferTooSmall.code() } else { written as i32 })
}

pub(crate) fn count(host: &mut Host<'_>, table: i32, ptr: i32, len: i32) -> Result<i64, Failure> {
    let id = host.table(table, AccessSet::READ)?;
    let scan = take_scan(host, id, ptr, len)?;
    let mut count = 0;
    visit(host, id, &scan, |_| count += 1)?;
    Ok(count)
}

pub(crate) fn delete_where(
    host: &mut Host<'_>,
    table: i32,
    ptr: i32,
    len: i32,
) -> Result<i64, Failure> {
    let id = host.table(table, AccessSet::DELETE)?;
    let scan = take_scan(host, id, ptr, len)?;
    let limits = host.world.state.limits();
    let (rows_max, bytes_max) = (limits.transaction_rows, limits.transaction_bytes);
    let mut keys: Vec<Key> = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    visit(host, id, &scan, |place| {
        count += 1;
        if count <= rows_max && bytes <= bytes_max {
            let key = place.key();
            bytes += key.len();
            keys.push(key);
        }
    })?;
    if count > rows_max || bytes > bytes_max {
        return Err(Failure::Limit(Limit::Transaction));
    }
    host.charge(cost::ROW * keys.len() as u64)?;
    host.charge_bytes(bytes)?;
    let deleted = keys.len() as i64;
    let World { state, transaction, .. } = &mut *host.world;
    let table = table_of(state, id)?;
    for key in keys {
        if let Err(error) = transaction.delete(table, state.limits(), key) {
            table::errno(table, state.limits(), error)?;
        }
    }
    Ok(deleted)
}

/// Shows every row of a scan, by its place.
fn visit(
    host: &mut Host<'_>,
    id: TableId,
    scan: &Scan,
    mut each: impl FnMut(Place<'_>),
) -> Result<(), Failure> {
    let mut budget = Budget::new(host.fuel);
    let World { state, transaction, .. } = &*host.world;
    let table = table_of(state, id)?;
    let mut left = scan.limit().unwrap_or(u32::MAX);
    for (place, row) in transaction.range(table, scan.lower(), scan.upper(), scan.reverse()) {
        if left == 0 || !budget.take(row_cost(scan, row)) {
            break;
        }
        if row.is_some_and(|row| scan.matches(row)) {
            left -= 1;
            each(place);
        }
    }
    budget.settle(host)
}

/// What it costs to look at a row.
fn row_cost(scan: &Scan, row: Option<&[u8]>) -> u64 {
    let Some(row) = row else { return cost::ROW };
    let content = scan.content_tests() * (row.len() as u64 / cost::BYTES_PER_UNIT);
    cost::ROW + scan.tests() + content
}

/// Reads a scan's description out of guest memory and checks it.
fn take_scan(host: &mut Host<'_>, id: TableId, ptr: i32, len: i32) -> Result<Scan, Failure> {
    host.charge(cost::ROW)?;
    host.value(ptr, len)?;
    let table = table_of(&host.world.state, id)?;
    Scan::check(slice(host.memory, ptr, len)?, table.layout(), table.key_layout())
        .map_err(|error| Failure::Rule(Rule::Scan { table: table.name().into(), error }))
}

/// The bounds of what is left of a scan behind the key `last`.
fn resume<'a>(scan: &'a Scan, last: Option<&'a Key>) -> (Bound<&'a Key>, Bound<&'a Key>) {
    match last {
        None => (scan.lower(), scan.upper()),
        Some(last) if scan.reverse() => (scan.lower(), Bound::Excluded(last)),
        Some(last) => (Bound::Excluded(last), scan.upper()),
    }
}

/// Fuel for rows that are looked at while the world is borrowed.
struct Budget {
    left: u64,
    spent: bool,
}

impl Budget {
    fn new(fuel: u64) -> Self {
        Self { left: fuel, spent: false }
    }

    fn take(&mut self, cost: u64) -> bool {
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => self.spent = true,
        }
        !self.spent
    }

    fn settle(self, host: &mut Host<'_>) -> Result<(), Failure> {
        if self.spent {
            return host.charge(u64::MAX);
        }
        host.fuel = self.left;
        Ok(())
    }
}
