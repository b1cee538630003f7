//! A commit as a person reads it.

use std::io::Write;

use interstice_core::{
    Cause, CommittedState, Failure as CallFailure, Function, Limits, Record, RecordChange,
    RecordOutcome, Table,
    abi::{layout::Layout, value::Value},
};

use super::record::{cause_name, module_name, scheduled, table_name, target};
use crate::{
    cli::{failure::Failure, style},
    text::{hex, timestamp},
};

pub(super) fn write(
    out: &mut impl Write,
    state: &CommittedState,
    record: &Record,
) -> Result<(), Failure> {
    let function = target(state, record).map(|(_, function)| function);
    let module = module_name(state, record);
    let name = function.map_or(String::new(), |function| format!(".{}", function.name()));
    let (offset, time) = (record.offset, timestamp::format(record.time.0));
    let cause = cause_name(&record.cause);
    let line = format!("commit {offset}  {time}  {cause} {module}{name}");
    writeln!(out, "{}", line.trim_end())?;
    write_cause(out, &record.cause)?;
    if let Some(function) = function {
        if !record.args.is_empty() {
            writeln!(out, "  arguments  {}", value(Some(function.args()), &record.args))?;
        }
        write_outcome(out, function, &record.outcome)?;
    }
    for change in &record.changes {
        write_change(out, state, change)?;
    }
    for schedule in &record.schedules {
        let (name, function) = scheduled(state, schedule);
        let args = value(function.map(Function::args), &schedule.args);
        writeln!(out, "  schedules  {name} at {} {args}", timestamp::format(schedule.at.0))?;
    }
    if let Some([before, limits]) = &record.limits {
        write_limits(out, before, limits)?;
    }
    if record.seed_given {
        writeln!(out, "  seed       {:016x}, given", record.seed)?;
    }
    let fuel = match function {
        Some(_) => format!(", fuel {}", style::thousands(record.fuel)),
        None => String::new(),
    };
    writeln!(out, "  state      {:016x}{fuel}, {} bytes", record.state_hash, record.len)?;
    Ok(())
}

/// The limits that a commit was made under and the one before was not.
fn write_limits(out: &mut impl Write, before: &Limits, limits: &Limits) -> Result<(), Failure> {
    let both = before.named().into_iter().zip(limits.named());
    let changed = both.filter(|(before, now)| before != now).map(|((name, before), (_, now))| {
        format!("{name} {} ({})", style::thousands(now), style::thousands(before))
    });
    let changed: Vec<String> = changed.collect();
    Ok(writeln!(out, "  limits     {}", changed.join(", "))?)
}

fn write_cause(out: &mut impl Write, cause: &Cause) -> Result<(), Failure> {
    match cause {
        Cause::Call(_) => Ok(()),
        Cause::Repair => Ok(writeln!(out, "  stands     for a commit that was lost or damaged")?),
        Cause::Install { content_hash, wasm_len, .. } => {
            Ok(writeln!(out, "  module     {}, {} bytes", hex(content_hash), wasm_len)?)
        }
        Cause::Subscription { trigger, depth, .. } => {
            let steps = style::count(u64::from(*depth), "step");
            Ok(writeln!(out, "  triggered  by commit {trigger}, {steps} behind a call")?)
        }
        Cause::Schedule { at, .. } => {
            Ok(writeln!(out, "  scheduled  for {}", timestamp::format(at.0))?)
        }
    }
}

fn write_outcome(
    out: &mut impl Write,
    function: &Function,
    outcome: &RecordOutcome,
) -> Result<(), Failure> {
    match outcome {
        RecordOutcome::Committed(result) if result.is_empty() => Ok(()),
        RecordOutcome::Committed(result) => {
            Ok(writeln!(out, "  result     {}", value(function.returns(), result))?)
        }
        RecordOutcome::Failed { error: Some(error), .. } => {
            Ok(writeln!(out, "  failed     with {}", value(function.error(), error))?)
        }
        RecordOutcome::Failed { code, .. } => {
            Ok(writeln!(out, "  failed     it {}", CallFailure::describe_code(*code))?)
        }
    }
}

fn write_change(
    out: &mut impl Write,
    state: &CommittedState,
    change: &RecordChange,
) -> Result<(), Failure> {
    let table = state.table_by_id(change.table);
    let layout = table.map(Table::layout);
    let name = table_name(state, change);
    let text = match (table, &change.old, &change.new) {
        (_, None, Some(new)) => format!("insert     {name} {}", value(layout, new)),
        (_, Some(old), None) => format!("delete     {name} {}", value(layout, old)),
        (Some(table), Some(old), Some(new)) => {
            format!("update     {name} {}", update_text(table, old, new))
        }
        _ => format!("change     {name}"),
    };
    Ok(writeln!(out, "  {text}")?)
}

/// The row's key, and the columns that changed: `id 7, mean: 3.1 -> 3.2`.
fn update_text(table: &Table, old: &[u8], new: &[u8]) -> String {
    let layout = table.layout();
    let (Ok(Value::Struct(old)), Ok(Value::Struct(new))) = (layout.decode(old), layout.decode(new))
    else {
        return String::new();
    };
    let mut parts = Vec::new();
    for (index, ((field, was), is)) in layout.fields().iter().zip(&old).zip(&new).enumerate() {
        let show = |value| field.layout.display_value(value).to_string();
        let (name, was, is) = (&field.name, show(was), show(is));
        if table.def().primary_key.iter().any(|key| usize::from(*key) == index) {
            parts.push(format!("{name} {is}"));
        } else if was != is {
            parts.push(format!("{name}: {was} -> {is}"));
        }
    }
    style::printable(&parts.join(", ")).into_owned()
}

fn value(layout: Option<&Layout>, bytes: &[u8]) -> String {
    match layout {
        Some(layout) => style::printable(&layout.display(bytes).to_string()).into_owned(),
        None => String::new(),
    }
}
