//! Calls from module to module, in one transaction.
//!
//! The callee runs in an instance of its own, behind a savepoint. Its typed
//! error takes its changes back and reaches the caller; a trap stops both.

use interstice_abi::{errno::Errno, ids::NameId};
use wasmi::{Caller, Error};

use super::{Host, Stopped, context::check_args, cost, running, slice_mut, with};
use crate::{
    error::{Failure, Limit, Rule},
    ids::FunctionRef,
    module::instance::{self, StoreData},
    world::{FrameOutcome, World},
};

pub(crate) fn call(
    caller: &mut Caller<'_, StoreData>,
    target: i32,
    ptr: i32,
    len: i32,
) -> Result<i32, Error> {
    let target = with(caller, |host| prepare(host, target as u32, ptr, len))?;
    // The world moves into the callee's store, and back.
    let Some(mut world) = caller.data_mut().world.take() else {
        return Err(Error::host(Stopped));
    };
    world.fuel = caller.get_fuel()?;
    let savepoint = world.transaction.savepoint();
    let (mut world, outcome) = instance::run(world, target);
    let outcome = outcome.and_then(|()| finish(&mut world));
    let result = match outcome {
        Ok((FrameOutcome::Err, _)) => {
            world.transaction.rollback_to(savepoint);
            Ok(Errno::CalleeFailed.code())
        }
        Ok((_, len)) => {
            world.transaction.release(savepoint);
            Ok(len as i32)
        }
        Err(failure) => {
            world.failed_at.get_or_insert(target);
            world.stopped = Some(failure);
            Err(Error::host(Stopped))
        }
    };
    let fuel = world.fuel;
    caller.data_mut().world = Some(world);
    caller.set_fuel(fuel)?;
    result
}

/// Finds the callee and pushes its frame, with its arguments.
fn prepare(host: &mut Host<'_>, id: u32, ptr: i32, len: i32) -> Result<FunctionRef, Failure> {
    host.charge(cost::MODULE_CALL)?;
    let limit = host.world.state.limits().call_depth;
    if host.world.depth() > limit {
        return Err(Failure::Limit(Limit::CallDepth { limit }));
    }
    let (_, function) = running(host.world).ok_or_else(|| Failure::CodeMissing)?;
    let call = function.calls.iter().find(|(call, _)| *call == NameId(id));
    let (_, target) = *call.ok_or_else(|| Failure::Rule(Rule::UndeclaredCall { id }))?;
    let callee = host.world.slots.get(target.module.0 as usize).and_then(Option::as_ref);
    let instance = callee.map_or(0, |callee| callee.code.instance_cost);
    host.charge(instance)?;
    let mut args = host.value(ptr, len)?.to_vec();
    check_args(&host.world.state, target, &mut args)?;
    host.world.push_frame(target).args.append(&mut args);
    Ok(target)
}

/// Hands the callee's result to the caller's frame.
fn finish(world: &mut World) -> Result<(FrameOutcome, usize), Failure> {
    let outcome = world.check_outcome()?;
    let (callee, caller) = world.frame_and_caller().ok_or_else(|| Failure::CodeMissing)?;
    core::mem::swap(&mut callee.result, &mut caller.callee_result);
    caller.called = Some(outcome);
    let len = caller.callee_result.len();
    world.pop_frame();
    Ok((outcome, len))
}

pub(crate) fn error_len(host: &mut Host<'_>) -> Result<i32, Failure> {
    let frame = host.world.frame().ok_or_else(|| Failure::CodeMissing)?;
    match frame.called {
        Some(FrameOutcome::Err) => Ok(frame.callee_result.len() as i32),
        Some(_) => Ok(0),
        None => Err(Failure::Rule(Rule::NoResult)),
    }
}

pub(crate) fn result_read(host: &mut Host<'_>, ptr: i32) -> Result<(), Failure> {
    let frame = host.world.frame().ok_or_else(|| Failure::CodeMissing)?;
    if frame.called.is_none() {
        return Err(Failure::Rule(Rule::NoResult));
    }
    let result = &frame.callee_result;
    slice_mut(host.memory, ptr, result.len())?.copy_from_slice(result);
    let len = result.len();
    host.charge_bytes(len)
}
