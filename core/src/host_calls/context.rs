//! The call itself: arguments, result, time, random numbers, log, schedule.

use alloc::{format, string::String};

use interstice_abi::ids::NameId;

use super::{Host, cost, running, slice, slice_mut};
use crate::{
    error::{Failure, Limit, Rule},
    ids::{FunctionRef, Timestamp},
    state::{CommittedState, FunctionKind},
    transaction::NewSchedule,
    world::{FrameOutcome, GuestLine, World},
};

/// Bytes of a log line or panic message that are kept.
const TEXT_LEN_MAX: usize = 4096;

pub(crate) fn args_read(host: &mut Host<'_>, ptr: i32) -> Result<(), Failure> {
    let args = host.world.frame().map_or(&[][..], |frame| &frame.args);
    slice_mut(host.memory, ptr, args.len())?.copy_from_slice(args);
    let len = args.len();
    host.charge_bytes(len)
}

pub(crate) fn return_ok(host: &mut Host<'_>, ptr: i32, len: i32) -> Result<(), Failure> {
    set_result(host, ptr, len, FrameOutcome::Ok)
}

pub(crate) fn return_err(host: &mut Host<'_>, ptr: i32, len: i32) -> Result<(), Failure> {
    set_result(host, ptr, len, FrameOutcome::Err)
}

fn set_result(
    host: &mut Host<'_>,
    ptr: i32,
    len: i32,
    outcome: FrameOutcome,
) -> Result<(), Failure> {
    host.value(ptr, len)?;
    let value = slice(host.memory, ptr, len)?;
    let frame = host.world.frame_mut().ok_or_else(|| Failure::CodeMissing)?;
    if frame.outcome != FrameOutcome::Unset {
        return Err(Failure::Rule(Rule::ResultTwice));
    }
    frame.outcome = outcome;
    // Checked in a buffer of its own, which is kept from call to call.
    let mut result = core::mem::take(&mut frame.result);
    result.clear();
    result.extend_from_slice(value);
    let checked = check_result(host.world, outcome, &mut result);
    if let Some(frame) = host.world.frame_mut() {
        frame.result = result;
    }
    checked
}

fn check_result(world: &World, outcome: FrameOutcome, result: &mut [u8]) -> Result<(), Failure> {
    let (_, function) = running(world).ok_or_else(|| Failure::CodeMissing)?;
    let (layout, place) = match outcome {
        FrameOutcome::Err => (function.error(), "error"),
        _ => (function.returns(), "result"),
    };
    let layout = layout.ok_or_else(|| Failure::Rule(Rule::ResultMismatch))?;
    layout.check(result).map_err(|error| Failure::Rule(Rule::Value { place: place.into(), error }))
}

pub(crate) fn now(host: &mut Host<'_>) -> Result<i64, Failure> {
    Ok(host.world.time.0)
}

pub(crate) fn random(host: &mut Host<'_>) -> Result<i64, Failure> {
    Ok(host.world.random.next() as i64)
}

pub(crate) fn log(host: &mut Host<'_>, level: i32, ptr: i32, len: i32) -> Result<(), Failure> {
    if host.world.guest_log.is_none() {
        return host.bytes(ptr, len).map(drop);
    }
    let text = text(host, ptr, len)?;
    let line = running(host.world).map(|(module, function)| GuestLine {
        module: module.name().into(),
        function: function.name().into(),
        level: level.clamp(0, 4) as u8,
        text,
    });
    if let (Some(log), Some(line)) = (&mut host.world.guest_log, line) {
        log(line);
    }
    Ok(())
}

pub(crate) fn panic(host: &mut Host<'_>, ptr: i32, len: i32) -> Result<(), Failure> {
    let reason = format!("it panicked: {}", text(host, ptr, len)?);
    Err(Failure::Trap { reason })
}

fn text(host: &mut Host<'_>, ptr: i32, len: i32) -> Result<String, Failure> {
    let bytes = host.bytes(ptr, len)?;
    let kept = bytes.get(..TEXT_LEN_MAX).unwrap_or(bytes);
    Ok(String::from_utf8_lossy(kept).into_owned())
}

pub(crate) fn schedule(
    host: &mut Host<'_>,
    reducer: i32,
    ptr: i32,
    len: i32,
    at: i64,
) -> Result<i32, Failure> {
    let (_, function) = running(host.world).ok_or_else(|| Failure::CodeMissing)?;
    if function.kind() == FunctionKind::Query {
        return Err(Failure::Rule(Rule::ReadOnly));
    }
    host.charge(cost::ROW)?;
    let mut args = host.value(ptr, len)?.to_vec();
    let limits = host.world.state.limits();
    if host.world.transaction.schedules().len() >= limits.schedule_len {
        return Err(Failure::Limit(Limit::Schedule { limit: limits.schedule_len }));
    }
    let target = own_reducer(host.world, reducer as u32)?;
    check_args(&host.world.state, target, &mut args)?;
    let World { state, transaction, time, .. } = &mut *host.world;
    // What is late already is due now: it does not overtake what was due before.
    let at = Timestamp(at).max(*time);
    let schedule = NewSchedule { target, at, args };
    match transaction.schedule(state.limits(), schedule) {
        Ok(()) => Ok(0),
        Err(_) => Err(Failure::Limit(Limit::Transaction)),
    }
}

/// A reducer of the running module that can be called.
fn own_reducer(world: &World, id: u32) -> Result<FunctionRef, Failure> {
    let unknown = || Failure::Rule(Rule::UnknownReducer { id });
    let (module, _) = running(world).ok_or_else(|| Failure::CodeMissing)?;
    match module.function(NameId(id)) {
        Some((index, function))
            if function.kind() == FunctionKind::Reducer && !function.is_triggered() =>
        {
            Ok(FunctionRef { module: module.id(), index })
        }
        _ => Err(unknown()),
    }
}

/// Checks arguments that a guest gives.
pub(super) fn check_args(
    state: &CommittedState,
    target: FunctionRef,
    args: &mut [u8],
) -> Result<(), Failure> {
    let function = state.function(target).ok_or_else(|| Failure::CodeMissing)?;
    function.args().check(args).map_err(|error| {
        let place = format!("arguments of `{}`", function.name());
        Failure::Rule(Rule::Value { place, error })
    })
}
