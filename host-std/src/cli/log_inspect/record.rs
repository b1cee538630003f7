//! A commit as JSON and YAML show it.

use std::collections::BTreeMap;

use interstice_core::{
    Cause, CommittedState, Failure, Function, Record, RecordChange, RecordOutcome, RecordSchedule,
    abi::{layout::Layout, value::Value},
};
use serde::{Serialize, Serializer};

use crate::text::{Typed, hex, timestamp};

/// Whether the recorded call was rolled back.
pub(in crate::cli) fn is_failed(record: &Record) -> bool {
    matches!(record.outcome, RecordOutcome::Failed { .. })
}

/// The module and the reducer that ran, if one did.
pub(in crate::cli) fn target<'a>(
    state: &'a CommittedState,
    record: &Record,
) -> Option<(&'a str, &'a Function)> {
    let target = record.cause.target()?;
    Some((state.module_by_id(target.module)?.name(), state.function(target)?))
}

/// The module that was installed, or whose reducer ran.
pub(in crate::cli) fn module_name<'a>(state: &'a CommittedState, record: &'a Record) -> &'a str {
    match &record.cause {
        Cause::Install { schema, .. } => &schema.module,
        Cause::Repair => "",
        _ => target(state, record).map_or("?", |(module, _)| module),
    }
}

/// Why a commit happened, as one word.
pub(in crate::cli) fn cause_name(cause: &Cause) -> &'static str {
    match cause {
        Cause::Install { .. } => "install",
        Cause::Repair => "repair",
        Cause::Call(_) => "call",
        Cause::Subscription { .. } => "subscription",
        Cause::Schedule { .. } => "schedule",
    }
}

/// Whether a row was inserted, updated or deleted.
pub(in crate::cli) fn change_name(change: &RecordChange) -> &'static str {
    match (&change.old, &change.new) {
        (None, _) => "insert",
        (Some(_), Some(_)) => "update",
        (Some(_), None) => "delete",
    }
}

/// A commit, to be serialized.
#[derive(Serialize)]
pub(in crate::cli) struct RecordAnswer<'a> {
    commit: u64,
    time: String,
    cause: &'static str,
    module: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reducer: Option<&'a str>,
    /// The commit whose change ran this subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
    /// The time this call was scheduled for.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Decoded<'a>>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Decoded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Decoded<'a>>,
    fuel: u64,
    seed: String,
    /// By name, where they are not those of the commit before.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<BTreeMap<&'static str, u64>>,
    changes: Vec<ChangeAnswer<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    schedules: Vec<ScheduleAnswer<'a>>,
    state_hash: String,
    bytes: usize,
}

#[derive(Serialize)]
struct ChangeAnswer<'a> {
    table: String,
    change: &'static str,
    old: Option<Decoded<'a>>,
    new: Option<Decoded<'a>>,
}

#[derive(Serialize)]
struct ScheduleAnswer<'a> {
    reducer: String,
    at: String,
    arguments: Option<Decoded<'a>>,
}

/// A value and its type.
struct Decoded<'a> {
    layout: &'a Layout,
    value: Value,
}

impl<'a> Decoded<'a> {
    /// `None` when the bytes are no value, which those of a log that replays
    /// always are.
    fn of(layout: Option<&'a Layout>, bytes: &[u8]) -> Option<Self> {
        let layout = layout?;
        Some(Self { layout, value: layout.decode(bytes).ok()? })
    }
}

impl Serialize for Decoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Typed { layout: self.layout, value: &self.value }.serialize(serializer)
    }
}

impl<'a> RecordAnswer<'a> {
    pub(in crate::cli) fn of(state: &'a CommittedState, record: &'a Record) -> Self {
        let function = target(state, record).map(|(_, function)| function);
        let (mut failure, mut error, mut result) = (None, None, None);
        match &record.outcome {
            RecordOutcome::Committed(bytes) => {
                result = Decoded::of(function.and_then(Function::returns), bytes);
            }
            RecordOutcome::Failed { code, error: bytes } => {
                failure = Some(Failure::describe_code(*code));
                let layout = function.and_then(Function::error);
                error = bytes.as_ref().and_then(|bytes| Decoded::of(layout, bytes));
            }
        }
        let (mut trigger, mut depth, mut scheduled_for) = (None, None, None);
        let (mut content_hash, mut wasm_bytes) = (None, None);
        match &record.cause {
            Cause::Install { content_hash: hash, wasm_len, .. } => {
                content_hash = Some(hex(hash));
                wasm_bytes = Some(*wasm_len);
            }
            Cause::Call(_) | Cause::Repair => {}
            Cause::Subscription { trigger: by, depth: steps, .. } => {
                trigger = Some(by.0);
                depth = Some(*steps);
            }
            Cause::Schedule { at, .. } => scheduled_for = Some(timestamp::format(at.0)),
        }
        Self {
            commit: record.offset.0,
            time: timestamp::format(record.time.0),
            cause: cause_name(&record.cause),
            module: module_name(state, record),
            reducer: function.map(Function::name),
            trigger,
            depth,
            scheduled_for,
            content_hash,
            wasm_bytes,
            arguments: Decoded::of(function.map(Function::args), &record.args),
            outcome: if is_failed(record) { "failed" } else { "committed" },
            failure,
            error,
            result,
            fuel: record.fuel,
            seed: format!("{:016x}", record.seed),
            limits: record.limits.as_ref().map(|[_, limits]| limits.named().into()),
            changes: record.changes.iter().map(|change| ChangeAnswer::of(state, change)).collect(),
            schedules: record.schedules.iter().map(|s| ScheduleAnswer::of(state, s)).collect(),
            state_hash: format!("{:016x}", record.state_hash),
            bytes: record.len,
        }
    }
}

impl<'a> ChangeAnswer<'a> {
    fn of(state: &'a CommittedState, change: &RecordChange) -> Self {
        let table = state.table_by_id(change.table);
        let layout = table.map(|table| table.layout());
        let decode = |row: &Option<Vec<u8>>| Decoded::of(layout, row.as_deref()?);
        Self {
            table: table_name(state, change),
            change: change_name(change),
            old: decode(&change.old),
            new: decode(&change.new),
        }
    }
}

/// The changed table, as `module.table`.
pub(in crate::cli) fn table_name(state: &CommittedState, change: &RecordChange) -> String {
    match state.table_by_id(change.table) {
        Some(table) => format!("{}.{}", table.module_name(), table.name()),
        None => "?".to_owned(),
    }
}

/// The scheduled reducer, as `module.reducer`, and its types.
pub(in crate::cli) fn scheduled<'a>(
    state: &'a CommittedState,
    schedule: &RecordSchedule,
) -> (String, Option<&'a Function>) {
    let module = state.module_by_id(schedule.target.module).map_or("?", |module| module.name());
    let function = state.function(schedule.target);
    (format!("{module}.{}", function.map_or("?", Function::name)), function)
}

impl<'a> ScheduleAnswer<'a> {
    fn of(state: &'a CommittedState, schedule: &RecordSchedule) -> Self {
        let (reducer, function) = scheduled(state, schedule);
        Self {
            reducer,
            at: timestamp::format(schedule.at.0),
            arguments: Decoded::of(function.map(Function::args), &schedule.args),
        }
    }
}
