//! Re-execution: the recorded calls run again, and everything they do is
//! compared with the log.
//!
//! Every commit is checked against the recorded history before it, so that a
//! difference is found where it is, not where it first shows.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, mem};

use interstice_abi::{
    layout::Layout,
    schema::ModuleSchema,
    value::{Rfc3339, Value},
};

use crate::{
    error::Failure,
    executor::{self, Executor},
    ids::{FunctionRef, Inputs, TxOffset},
    limits::Limits,
    log::commit::{Body, Commit},
    module::{Code, LoadError, content_hash, inspect},
    state::{
        Cause, CommittedState, Function, InstalledModule, Record, RecordChange, RecordOutcome,
        ReplayError, ReplayFault, Table, Trigger,
    },
    world::Args,
};

/// Runs a log's calls again, commit by commit.
pub struct Reexecution {
    executor: Executor,
    files: Vec<File>,
}

/// A module's file, loaded by the interpreter that is made for the limits in
/// force.
struct File {
    content_hash: [u8; 32],
    wasm: Vec<u8>,
    code: Result<Code, LoadError>,
    /// The schema in it, if it has one.
    schema: Option<ModuleSchema>,
}

/// What re-executing one commit has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The call did exactly what is recorded, byte for byte.
    Identical,
    /// A module was installed; there was nothing to run.
    Installed,
    /// It takes the place of a lost commit; nothing to compare.
    Repaired,
    /// The call could not be run: no file of its module was given.
    CodeMissing {
        /// The module.
        module: String,
    },
    /// The call could not be run: the host had no memory for it, say. Nothing is
    /// known of it.
    NotRun {
        /// The reason.
        reason: String,
    },
    /// The call did something else.
    Different(Difference),
}

/// The first difference between a recorded call and its re-execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The commit.
    pub offset: TxOffset,
    /// The reducer, as `module.reducer`; of an installation, the module.
    pub function: String,
    /// What differs.
    pub what: Differing,
    /// As recorded, in words.
    pub recorded: String,
    /// As re-executed, in words.
    pub replayed: String,
}

/// What differs between a recorded call and its re-execution.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Differing {
    /// The schema of a module that is installed.
    Schema,
    /// How it ended.
    Outcome,
    /// The number of changed rows.
    ChangeCount,
    /// A changed row.
    Change {
        /// Which of the changes.
        index: usize,
        /// The table, as `module.table`.
        table: String,
        /// The row's primary key, in words.
        key: String,
        /// The column, if the row itself is the same one.
        column: Option<String>,
    },
    /// The result.
    Result,
    /// The scheduled calls.
    Schedules,
    /// The fuel it used.
    Fuel,
    /// The hash of the state behind it.
    StateHash,
    /// The bytes of the commit, with no difference in what they say.
    Encoding,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commit {}, `{}`, ", self.offset, self.function)?;
        match &self.what {
            Differing::Schema => f.write_str("schema")?,
            Differing::Outcome => f.write_str("outcome")?,
            Differing::ChangeCount => f.write_str("number of changes")?,
            Differing::Change { index, table, key, column } => {
                write!(f, "change {index}, table `{table}`, row {key}")?;
                if let Some(column) = column {
                    write!(f, ", column `{column}`")?;
                }
            }
            Differing::Result => f.write_str("result")?,
            Differing::Schedules => f.write_str("scheduled calls")?,
            Differing::Fuel => f.write_str("fuel")?,
            Differing::StateHash => f.write_str("state hash")?,
            Differing::Encoding => f.write_str("encoding")?,
        }
        write!(f, ": recorded {}, re-executed {}", self.recorded, self.replayed)
    }
}

impl Reexecution {
    /// Begins with an empty state. Each call runs under the limits that the log
    /// says it was made under.
    pub fn new(seed: u64) -> Self {
        Self::behind(CommittedState::new(seed, Limits::default()))
    }

    /// Begins behind `state`: that of a snapshot. The code of the modules in it
    /// is given with [`attach`](Self::attach).
    pub fn behind(mut state: CommittedState) -> Self {
        state.set_limits(state.recorded_limits());
        Self { executor: Executor::new(state), files: Vec::new() }
    }

    /// The state up to here, as recorded.
    pub fn state(&self) -> &CommittedState {
        self.executor.state()
    }

    /// Gives the code of a module that the log installs, now or later. What is
    /// refused is told by the first call that needs it: the limits that a file has
    /// to keep are those of the commits that follow.
    pub fn attach(&mut self, wasm: &[u8]) {
        let content_hash = content_hash(wasm);
        let (code, schema) = (self.load(wasm), inspect(wasm).ok());
        self.files.push(File { content_hash, wasm: wasm.to_vec(), code, schema });
        self.attach_known(&content_hash);
    }

    fn load(&self, wasm: &[u8]) -> Result<Code, LoadError> {
        self.executor.load(wasm).map(|loaded| loaded.code)
    }

    /// Re-executes the commit at `offset`, which is the next one, and goes on
    /// behind it as recorded.
    ///
    /// # Errors
    ///
    /// When the commit cannot be replayed at all.
    pub fn step(&mut self, offset: TxOffset, commit: &[u8]) -> Result<Step, ReplayError> {
        let undecodable = |error| ReplayError { offset, fault: ReplayFault::Decode(error) };
        let decoded = Commit::decode(commit).map_err(undecodable)?;
        if !decoded.limits.is_empty() {
            self.go_on_under(Limits::decode(decoded.limits).map_err(undecodable)?);
        }
        let step = match decoded.body {
            Body::Install { content_hash, .. } => {
                self.replay(offset, commit)?;
                self.attach_known(content_hash);
                return Ok(self.installed(offset, content_hash));
            }
            Body::Repair { .. } => Step::Repaired,
            Body::Run { .. } => self.compare(offset, commit, decoded.seed)?,
        };
        self.replay(offset, commit)?;
        Ok(step)
    }

    fn replay(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), ReplayError> {
        self.executor.world_mut().state.replay(offset, commit)
    }

    /// Gives the module that was just installed its code. Without its file it
    /// has none: not that of the version before.
    fn attach_known(&mut self, content_hash: &[u8; 32]) {
        let Some(module) = self.module(content_hash) else { return };
        let index = module.id().0 as usize;
        let file = self.file(content_hash).filter(|_| !self.has_other_schema(content_hash));
        match file.and_then(|file| file.code.as_ref().ok().cloned()) {
            Some(code) => self.executor.attach(index, code),
            None => self.executor.detach(index),
        }
    }

    fn file(&self, content_hash: &[u8; 32]) -> Option<&File> {
        self.files.iter().find(|file| file.content_hash == *content_hash)
    }

    fn module(&self, content_hash: &[u8; 32]) -> Option<&InstalledModule> {
        self.state().modules().iter().find(|module| module.content_hash() == content_hash)
    }

    /// Whether a module is recorded with another schema than its file has.
    fn has_other_schema(&self, content_hash: &[u8; 32]) -> bool {
        let schema = self.file(content_hash).and_then(|file| file.schema.as_ref());
        schema.zip(self.module(content_hash)).is_some_and(|(schema, module)| !module.is_of(schema))
    }

    /// What an installation has shown.
    fn installed(&self, offset: TxOffset, content_hash: &[u8; 32]) -> Step {
        if !self.has_other_schema(content_hash) {
            return Step::Installed;
        }
        Step::Different(Difference {
            offset,
            function: self.module(content_hash).map_or("?", InstalledModule::name).to_string(),
            what: Differing::Schema,
            recorded: "another one".to_string(),
            replayed: "that of its file".to_string(),
        })
    }

    /// Other limits are in force from the next commit on.
    fn go_on_under(&mut self, limits: Limits) {
        let none = CommittedState::new(0, Limits::default());
        let mut state = mem::replace(&mut self.executor.world_mut().state, none);
        state.set_limits(limits);
        let modules = state.modules().iter();
        let installed: Vec<[u8; 32]> = modules.map(|module| *module.content_hash()).collect();
        self.executor = Executor::new(state);
        let mut files = mem::take(&mut self.files);
        for file in &mut files {
            file.code = self.load(&file.wasm);
        }
        self.files = files;
        for content_hash in installed {
            self.attach_known(&content_hash);
        }
    }

    /// Runs a recorded call and compares. The state stays as it is.
    fn compare(
        &mut self,
        offset: TxOffset,
        commit: &[u8],
        seed: Option<u64>,
    ) -> Result<Step, ReplayError> {
        let record = self.state().read(offset, commit)?;
        let (target, args) = match &record.cause {
            Cause::Call(target) => (*target, Args::Given(&record.args)),
            Cause::Subscription { target, .. } => (*target, Args::Waiting(Trigger::Subscription)),
            Cause::Schedule { target, .. } => (*target, Args::Waiting(Trigger::Schedule)),
            Cause::Install { .. } => return Ok(Step::Installed),
            Cause::Repair => return Ok(Step::Repaired),
        };
        let executed = self.executor.execute(target, args, Inputs { time: record.time, seed });
        self.executor.world_mut().transaction.clear();
        let found = match executed {
            Ok(_) if self.executor.commit == commit => return Ok(Step::Identical),
            Ok(_) => {
                let replayed = self.state().read(offset, &self.executor.commit)?;
                self.first_difference(&record, &replayed)
            }
            Err(failed) if failed.failure == Failure::CodeMissing => {
                return Ok(self.without_code(failed.at.unwrap_or(target)));
            }
            Err(executor::Failed { failure: Failure::Host { reason }, .. }) => {
                return Ok(Step::NotRun { reason });
            }
            Err(failed) => {
                let recorded = self.outcome_text(target, &record.outcome);
                (Differing::Outcome, recorded, failed.failure.to_string())
            }
        };
        let (what, recorded, replayed) = found;
        let function = self.name(target);
        Ok(Step::Different(Difference { offset, function, what, recorded, replayed }))
    }

    /// Why a function has no code.
    fn without_code(&self, function: FunctionRef) -> Step {
        let Some(module) = self.state().module_by_id(function.module) else {
            return Step::CodeMissing { module: "?".into() };
        };
        let (name, content_hash) = (module.name(), module.content_hash());
        if self.has_other_schema(content_hash) {
            let reason =
                format!("module `{name}` is recorded with another schema than its file has");
            return Step::NotRun { reason };
        }
        match self.file(content_hash).map(|file| &file.code) {
            Some(Err(error)) => {
                Step::NotRun { reason: format!("the file of module `{name}` is refused: {error}") }
            }
            _ => Step::CodeMissing { module: name.into() },
        }
    }

    /// What differs first: the outcome, then the rows, then what follows from them.
    fn first_difference(
        &self,
        recorded: &Record,
        replayed: &Record,
    ) -> (Differing, String, String) {
        let target = recorded.cause.target();
        let failed = |record: &Record| matches!(record.outcome, RecordOutcome::Failed { .. });
        let outcomes = [recorded, replayed].map(|record| match target {
            Some(target) => self.outcome_text(target, &record.outcome),
            None => String::new(),
        });
        let [was, is] = outcomes;
        if failed(recorded) != failed(replayed) {
            return (Differing::Outcome, was, is);
        }
        let pairs = recorded.changes.iter().zip(&replayed.changes);
        for (index, (was, is)) in pairs.enumerate() {
            if was != is {
                return self.change_difference(index, was, is);
            }
        }
        let differs = |what, was: &dyn ToString, is: &dyn ToString| {
            Some((what, was.to_string(), is.to_string()))
        };
        let (was_count, is_count) = (recorded.changes.len(), replayed.changes.len());
        let found = if was_count != is_count {
            differs(Differing::ChangeCount, &was_count, &is_count)
        } else if recorded.outcome != replayed.outcome {
            differs(Differing::Result, &was, &is)
        } else if recorded.schedules != replayed.schedules {
            let (was, is) = (self.schedules_text(recorded), self.schedules_text(replayed));
            differs(Differing::Schedules, &was, &is)
        } else if recorded.fuel != replayed.fuel {
            differs(Differing::Fuel, &recorded.fuel, &replayed.fuel)
        } else if recorded.state_hash != replayed.state_hash {
            let text = |hash: u64| format!("{hash:016x}");
            let (was, is) = (text(recorded.state_hash), text(replayed.state_hash));
            differs(Differing::StateHash, &was, &is)
        } else {
            None
        };
        found.unwrap_or((
            Differing::Encoding,
            format!("{} bytes", recorded.len),
            format!("{} bytes", replayed.len),
        ))
    }

    fn change_difference(
        &self,
        index: usize,
        was: &RecordChange,
        is: &RecordChange,
    ) -> (Differing, String, String) {
        let describe = |change: &RecordChange| {
            let table = self.state().table_by_id(change.table);
            let name = table.map_or("?", Table::name);
            let row = |row: &Option<Vec<u8>>| match (table, row) {
                (Some(table), Some(row)) => text(table.layout(), row),
                _ => "nothing".to_string(),
            };
            match (&change.old, &change.new) {
                (None, _) => format!("insert into {name}: {}", row(&change.new)),
                (_, None) => format!("delete from {name}: {}", row(&change.old)),
                _ => format!("update of {name}: {}", row(&change.new)),
            }
        };
        let table = self.state().table_by_id(was.table);
        let name = table
            .map_or_else(String::new, |table| format!("{}.{}", table.module_name(), table.name()));
        let key = table.map_or_else(String::new, |table| key_text(table, was));
        let same_row = was.table == is.table && was.old == is.old && table.is_some();
        if let (true, Some(table), Some(was_row), Some(is_row)) =
            (same_row, table, &was.new, &is.new)
            && was.old.is_some() | (key == key_text(table, is))
            && let Some((column, was, is)) = column_difference(table, was_row, is_row)
        {
            let what = Differing::Change { index, table: name, key, column: Some(column) };
            return (what, was, is);
        }
        let what = Differing::Change { index, table: name, key, column: None };
        (what, describe(was), describe(is))
    }

    fn outcome_text(&self, target: FunctionRef, outcome: &RecordOutcome) -> String {
        let function = self.state().function(target);
        match outcome {
            RecordOutcome::Committed(result) if result.is_empty() => "committed".to_string(),
            RecordOutcome::Committed(result) => {
                let layout = function.and_then(Function::returns);
                layout.map_or_else(String::new, |layout| text(layout, result))
            }
            RecordOutcome::Failed { error: Some(error), .. } => {
                let layout = function.and_then(Function::error);
                let value = layout.map_or_else(String::new, |layout| text(layout, error));
                format!("error {value}")
            }
            RecordOutcome::Failed { code, .. } => Failure::describe_code(*code).to_string(),
        }
    }

    fn schedules_text(&self, record: &Record) -> String {
        let schedules = record.schedules.iter().map(|schedule| {
            let function = self.state().function(schedule.target);
            let args = function.map(|function| text(function.args(), &schedule.args));
            let at = Rfc3339(schedule.at.0);
            format!("{} at {at} {}", self.name(schedule.target), args.unwrap_or_default())
        });
        let schedules: Vec<String> = schedules.collect();
        if schedules.is_empty() { "none".to_string() } else { schedules.join("; ") }
    }

    fn name(&self, target: FunctionRef) -> String {
        let module = self.state().module_by_id(target.module).map_or("?", InstalledModule::name);
        let function = self.state().function(target).map_or("?", Function::name);
        format!("{module}.{function}")
    }
}

fn text(layout: &Layout, value: &[u8]) -> String {
    layout.display(value).to_string()
}

/// A row's primary key, in words.
fn key_text(table: &Table, change: &RecordChange) -> String {
    let row = change.new.as_deref().or(change.old.as_deref()).unwrap_or_default();
    let columns = table.key_layout().columns().iter();
    let columns = columns.filter_map(|&column| {
        let field = table.layout().fields().get(usize::from(column))?;
        let value = column_text(table, row, usize::from(column))?;
        Some(format!("{}: {value}", field.name))
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// One column of a row, in words.
fn column_text(table: &Table, row: &[u8], column: usize) -> Option<String> {
    let Ok(Value::Struct(values)) = table.layout().decode(row) else { return None };
    let field = table.layout().fields().get(column)?;
    Some(field.layout.display_value(values.get(column)?).to_string())
}

/// The first column in which two rows differ, and both its values in words.
fn column_difference(table: &Table, was: &[u8], is: &[u8]) -> Option<(String, String, String)> {
    for (index, field) in table.layout().fields().iter().enumerate() {
        let was = column_text(table, was, index)?;
        let is = column_text(table, is, index)?;
        if was != is {
            return Some((field.name.clone(), was, is));
        }
    }
    None
}
