//! Host calls: what guests import, and the way into guest memory.
//!
//! The list of calls, with their traps and errors, is
//! [`abi::host_calls`](interstice_abi::host_calls); the bodies are here, by
//! subject. A body gets the guest's memory and the world; what it returns as a
//! [`Failure`] stops the guest and rolls the call back.

mod call;
mod context;
mod scan;
mod table;

use core::fmt;

use interstice_abi::for_each_host_call;
use wasmi::{Caller, Func, Store};

use crate::{
    error::{Failure, Limit, Rule},
    ids::TableId,
    module::instance::StoreData,
    state::{CommittedState, Function, FunctionKind, InstalledModule, Table},
    world::World,
};
use interstice_abi::{ids::NameId, schema::AccessSet};

/// What host calls cost, in units of fuel. Part of what makes fuel the same
/// everywhere; a change of a cost is a change of the guest interface.
pub(crate) mod cost {
    /// Every host call.
    pub(crate) const CALL: u64 = 10;
    /// Every row that is looked at, read or written.
    pub(crate) const ROW: u64 = 20;
    /// As many bytes as cost one unit when they are copied or checked.
    pub(crate) const BYTES_PER_UNIT: u64 = 8;
    /// A call into another module.
    pub(crate) const MODULE_CALL: u64 = 1000;
    /// As many bytes of a called module's memory as cost one unit to put back.
    pub(crate) const MEMORY_BYTES_PER_UNIT: u64 = 64;
    /// Every function of a called module, as if its instance was made anew.
    pub(crate) const INSTANCE_FUNCTION: u64 = 4;
    /// Every global of it.
    pub(crate) const INSTANCE_GLOBAL: u64 = 16;
    /// Every export of it.
    pub(crate) const INSTANCE_EXPORT: u64 = 64;
    /// As many bytes of its data and element segments as cost one unit.
    pub(crate) const SEGMENT_BYTES_PER_UNIT: u64 = 4;
}

/// What a host call's body works on.
pub(crate) struct Host<'a> {
    pub(crate) memory: &'a mut [u8],
    pub(crate) world: &'a mut World,
    /// The guest's fuel.
    pub(crate) fuel: u64,
}

impl Host<'_> {
    /// Takes fuel for work that the guest asks for.
    #[inline]
    pub(crate) fn charge(&mut self, cost: u64) -> Result<(), Failure> {
        match self.fuel.checked_sub(cost) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => {
                self.fuel = 0;
                Err(Failure::OutOfFuel { limit: self.world.state.limits().fuel_per_call })
            }
        }
    }

    /// Takes fuel for a number of bytes.
    #[inline]
    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Result<(), Failure> {
        self.charge(bytes as u64 / cost::BYTES_PER_UNIT)
    }

    /// A range of guest memory that the guest names, charged for.
    #[inline]
    pub(crate) fn bytes(&mut self, ptr: i32, len: i32) -> Result<&[u8], Failure> {
        self.charge_bytes(len as u32 as usize)?;
        slice(self.memory, ptr, len)
    }

    /// A value that the guest names: not longer than a value may be.
    #[inline]
    pub(crate) fn value(&mut self, ptr: i32, len: i32) -> Result<&[u8], Failure> {
        let (bytes, limit) = (len as u32 as usize, self.world.state.limits().value_bytes);
        if bytes > limit {
            return Err(Failure::Limit(Limit::Value { bytes, limit }));
        }
        self.bytes(ptr, len)
    }

    /// The table that a guest names, if the running function declares `operation` on it.
    pub(crate) fn table(&self, id: i32, operation: AccessSet) -> Result<TableId, Failure> {
        let unknown = || Failure::Rule(Rule::UnknownTable { id: id as u32 });
        let (module, function) = running(self.world).ok_or_else(|| Failure::CodeMissing)?;
        let table = module.table(NameId(id as u32)).ok_or_else(unknown)?;
        // Queries declare no writes, and schemas are checked for it; this is
        // the second lock on the same door.
        let allowed = function.kind() == FunctionKind::Reducer || operation == AccessSet::READ;
        if allowed && function.access_to(table).contains(operation) {
            return Ok(table);
        }
        let operation = match operation {
            AccessSet::INSERT => "insert into",
            AccessSet::UPDATE => "update",
            AccessSet::DELETE => "delete from",
            _ => "read",
        };
        let name = self.world.state.table_by_id(table).map_or("?", Table::name);
        Err(Failure::Rule(Rule::Undeclared { operation, table: name.into() }))
    }
}

/// The module and function that run.
pub(crate) fn running(world: &World) -> Option<(&InstalledModule, &Function)> {
    let running = world.frame()?.function;
    Some((world.state.module_by_id(running.module)?, world.state.function(running)?))
}

pub(crate) fn table_of(state: &CommittedState, id: TableId) -> Result<&Table, Failure> {
    state.table_by_id(id).ok_or_else(|| Failure::Rule(Rule::UnknownTable { id: id.0 }))
}

/// A range of guest memory.
pub(crate) fn slice(memory: &[u8], ptr: i32, len: i32) -> Result<&[u8], Failure> {
    let (start, len) = (ptr as u32 as usize, len as u32 as usize);
    let end = start.checked_add(len);
    end.and_then(|end| memory.get(start..end)).ok_or_else(|| outside(ptr, len))
}

/// A range of guest memory, to be written.
pub(crate) fn slice_mut(memory: &mut [u8], ptr: i32, len: usize) -> Result<&mut [u8], Failure> {
    let start = ptr as u32 as usize;
    let end = start.checked_add(len);
    end.and_then(|end| memory.get_mut(start..end)).ok_or_else(|| outside(ptr, len))
}

fn outside(ptr: i32, len: usize) -> Failure {
    Failure::Rule(Rule::Memory { ptr: ptr as u32, len: len as u32 })
}

/// Tells the engine to stop the guest; why is in [`World::stopped`].
#[derive(Debug)]
struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped by the host")
    }
}

impl wasmi::errors::HostError for Stopped {}

/// Runs a host call's body with the guest's memory, the world and the fuel.
fn with<R>(
    caller: &mut Caller<'_, StoreData>,
    body: impl FnOnce(&mut Host<'_>) -> Result<R, Failure>,
) -> Result<R, wasmi::Error> {
    let fuel = caller.get_fuel()?;
    let frame = caller.data().world.as_deref().and_then(World::frame);
    let Some(memory) = frame.and_then(|frame| frame.memory) else {
        return Err(wasmi::Error::host(Stopped));
    };
    let (memory, data) = memory.data_and_store_mut(&mut *caller);
    let Some(world) = data.world.as_deref_mut() else {
        return Err(wasmi::Error::host(Stopped));
    };
    let mut host = Host { memory, world, fuel };
    let result = host.charge(cost::CALL).and_then(|()| body(&mut host));
    let left = host.fuel;
    let result = result.map_err(|failure| {
        host.world.stopped = Some(failure);
        wasmi::Error::host(Stopped)
    });
    caller.set_fuel(left)?;
    result
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $ty:ident),*) $(-> $result:ident)?;)*) => {
        /// The host call `name`, as a guest in `store` imports it.
        pub(crate) fn import(store: &mut Store<StoreData>, name: &str) -> Option<Func> {
            Some(match name {
                $(
                    stringify!($name) => Func::wrap(
                        store,
                        |mut caller: Caller<'_, StoreData> $(, $param: $ty)*| -> Result<bodies!(@result $($result)?), wasmi::Error> {
                            bodies!(@body $name, caller $(, $param)*)
                        },
                    ),
                )*
                _ => return None,
            })
        }
    };
    (@result) => { () };
    (@result $ty:ident) => { $ty };
    // Calling another module hands the world over to its store.
    (@body call, $caller:ident $(, $param:ident)*) => { call::call(&mut $caller $(, $param)*) };
    (@body $name:ident, $caller:ident $(, $param:ident)*) => {
        with(&mut $caller, |host| body::$name(host $(, $param)*))
    };
}
for_each_host_call!(bodies);

/// Every body but `call`'s, by its name in the list.
mod body {
    pub(super) use super::{
        call::{error_len, result_read},
        context::{args_read, log, now, panic, random, return_err, return_ok, schedule},
        scan::{count, delete_where, scan_close, scan_next, scan_open},
        table::{delete, get, insert, update},
    };
}
