//! Rows by primary key.

use alloc::format;

use interstice_abi::{errno::Errno, key::Key, schema::AccessSet};

use super::{Host, cost, slice, slice_mut, table_of};
use crate::{
    error::{Failure, Limit, Rule},
    ids::TableId,
    limits::Limits,
    state::{Row, Table},
    transaction::WriteError,
    world::World,
};

pub(crate) fn insert(host: &mut Host<'_>, table: i32, ptr: i32, len: i32) -> Result<i32, Failure> {
    let id = host.table(table, AccessSet::INSERT)?;
    let row = take_row(host, id, ptr, len)?;
    let World { state, transaction, .. } = &mut *host.world;
    let table = table_of(state, id)?;
    let numbered = match transaction.insert(table, state.limits(), row) {
        Ok(numbered) => numbered,
        Err(error) => return errno(table, state.limits(), error),
    };
    if let (Some(number), Some(auto)) = (numbered, table.auto()) {
        let row = slice_mut(host.memory, ptr, len as u32 as usize)?;
        auto.set(row, number);
    }
    Ok(0)
}

pub(crate) fn update(host: &mut Host<'_>, table: i32, ptr: i32, len: i32) -> Result<i32, Failure> {
    let id = host.table(table, AccessSet::UPDATE)?;
    let row = take_row(host, id, ptr, len)?;
    let World { state, transaction, .. } = &mut *host.world;
    let table = table_of(state, id)?;
    match transaction.update(table, state.limits(), row) {
        Ok(()) => Ok(0),
        Err(error) => errno(table, state.limits(), error),
    }
}

pub(crate) fn delete(host: &mut Host<'_>, table: i32, ptr: i32, len: i32) -> Result<i32, Failure> {
    let id = host.table(table, AccessSet::DELETE)?;
    let key = take_key(host, id, ptr, len)?;
    let World { state, transaction, .. } = &mut *host.world;
    let table = table_of(state, id)?;
    match transaction.delete(table, state.limits(), key) {
        Ok(()) => Ok(0),
        Err(error) => errno(table, state.limits(), error),
    }
}

pub(crate) fn get(
    host: &mut Host<'_>,
    table: i32,
    key_ptr: i32,
    key_len: i32,
    ptr: i32,
    capacity: i32,
) -> Result<i32, Failure> {
    let id = host.table(table, AccessSet::READ)?;
    let key = take_key(host, id, key_ptr, key_len)?;
    // The whole buffer must be there, whatever comes to be written into it.
    slice(host.memory, ptr, capacity)?;
    let World { state, transaction, .. } = &*host.world;
    let table = table_of(state, id)?;
    let Some(row) = transaction.get(table, &key) else {
        return Ok(Errno::NotFound.code());
    };
    if row.len() <= capacity as u32 as usize {
        slice_mut(host.memory, ptr, row.len())?.copy_from_slice(row);
    }
    let len = row.len();
    host.charge_bytes(len)?;
    Ok(len as i32)
}

/// Copies a row out of guest memory and checks it.
fn take_row(host: &mut Host<'_>, id: TableId, ptr: i32, len: i32) -> Result<Row, Failure> {
    host.charge(cost::ROW)?;
    host.value(ptr, len)?;
    let mut row = host.world.transaction.buffer();
    row.extend_from_slice(slice(host.memory, ptr, len)?);
    let table = table_of(&host.world.state, id)?;
    match table.layout().check(&mut row) {
        Ok(()) => Ok(row),
        Err(error) => {
            let place = format!("row of table `{}`", table.name());
            Err(Failure::Rule(Rule::Value { place, error }))
        }
    }
}

/// Reads a primary key out of guest memory and checks it.
fn take_key(host: &mut Host<'_>, id: TableId, ptr: i32, len: i32) -> Result<Key, Failure> {
    host.charge(cost::ROW)?;
    host.value(ptr, len)?;
    let table = table_of(&host.world.state, id)?;
    let key_row = slice(host.memory, ptr, len)?;
    let layout = table.key_layout().row();
    // Checking may rewrite NaNs, which keys do not have; so a copy on the
    // stack does, and keys that do not fit it are rare.
    let mut short = [0; 64];
    let checked = match short.get_mut(..key_row.len()) {
        Some(copy) => {
            copy.copy_from_slice(key_row);
            layout.check(copy)
        }
        None => layout.check(&mut key_row.to_vec()),
    };
    checked.map_err(|error| {
        let place = format!("key of table `{}`", table.name());
        Failure::Rule(Rule::Value { place, error })
    })?;
    let mut key = Key::new();
    table.key_layout().from_key_row(key_row, &mut key);
    Ok(key)
}

/// What a guest is told, or why it is stopped.
pub(super) fn errno(table: &Table, limits: &Limits, error: WriteError) -> Result<i32, Failure> {
    match error {
        WriteError::DuplicateKey => Ok(Errno::DuplicateKey.code()),
        WriteError::NotFound => Ok(Errno::NotFound.code()),
        WriteError::Full => Err(Failure::Limit(Limit::Transaction)),
        WriteError::KeyTooLong => {
            let (table, limit) = (table.name().into(), limits.key_bytes);
            Err(Failure::Limit(Limit::Key { table, limit }))
        }
        WriteError::SequenceExhausted => {
            Err(Failure::Limit(Limit::Sequence { table: table.name().into() }))
        }
    }
}
