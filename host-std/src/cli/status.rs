use std::io::Write;

use interstice_core::CommittedState;
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, TornAnswer},
    output::{self, Format},
    style,
};
use crate::{
    database::{Opening, ReadOnlyState},
    text::{hex, timestamp},
};

/// Show what is in a data directory: modules, tables, log, state hash.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Serialize)]
struct Answer {
    data: String,
    log_id: String,
    commits: u64,
    /// Position of the newest good snapshot.
    snapshot: Option<u64>,
    log_bytes: u64,
    last_commit_time: Option<String>,
    state_hash: String,
    replay_seconds: f64,
    torn_tail: Option<TornAnswer>,
    pending_subscriptions: usize,
    scheduled_calls: usize,
    next_due: Option<String>,
    modules: Vec<ModuleAnswer>,
    tables: Vec<TableAnswer>,
}

#[derive(Serialize)]
struct ModuleAnswer {
    name: String,
    content_hash: String,
    bytes: u64,
    tables: usize,
    reducers: usize,
    queries: usize,
}

#[derive(Serialize)]
struct TableAnswer {
    module: String,
    name: String,
    rows: usize,
    /// As its limit counts them: keys, rows, and 48 for each.
    bytes: u64,
    hash: String,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let opened = self.data.read_state()?;
        let answer = Answer::of(&opened);
        output::answer(self.format, &answer, |out| answer.print_text(out))?;
        Ok(Exit::Good)
    }
}

impl Answer {
    fn of(opened: &ReadOnlyState) -> Self {
        let state = opened.state();
        let Opening { bytes, elapsed, torn_tail, snapshot, .. } = opened.opening();
        let commits = state.next_offset().0;
        Self {
            data: opened.data_dir().path().display().to_string(),
            log_id: hex(&opened.log_header().log_id),
            commits,
            snapshot: snapshot.map(|position| position.0),
            log_bytes: *bytes,
            last_commit_time: (commits > 0).then(|| timestamp::format(state.time().0)),
            state_hash: format!("{:016x}", state.state_hash()),
            replay_seconds: elapsed.as_secs_f64(),
            torn_tail: torn_tail.as_ref().map(TornAnswer::of),
            pending_subscriptions: state.pending(),
            scheduled_calls: state.scheduled(),
            next_due: state.next_due().map(|at| timestamp::format(at.0)),
            modules: modules(state),
            tables: tables(state),
        }
    }

    fn print_text(&self, out: &mut impl Write) -> Result<(), Failure> {
        let bytes = style::bytes(self.log_bytes);
        writeln!(out, "{}: {}, {bytes} of log", self.data, style::count(self.commits, "commit"))?;
        if let Some(position) = self.snapshot {
            writeln!(out, "newest snapshot: the state before commit {position}")?;
        }
        writeln!(out, "state hash {}", self.state_hash)?;
        if let Some(time) = &self.last_commit_time {
            writeln!(out, "last commit {time}")?;
        }
        if self.pending_subscriptions > 0 {
            let waiting = style::count(self.pending_subscriptions as u64, "subscription");
            writeln!(out, "{waiting} wait; the next open for writing runs them")?;
        }
        if let Some(due) = &self.next_due {
            let waiting = style::count(self.scheduled_calls as u64, "scheduled call");
            writeln!(out, "{waiting}, the next one due {due}")?;
        }
        if self.modules.is_empty() {
            return Ok(writeln!(out, "no module is installed")?);
        }
        let header = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        writeln!(out)?;
        let rows = self.modules.iter().map(|module| {
            vec![
                module.name.clone(),
                module.tables.to_string(),
                module.reducers.to_string(),
                module.queries.to_string(),
                style::bytes(module.bytes),
                module.content_hash.get(..12).unwrap_or_default().to_owned(),
            ]
        });
        let numeric = vec![false, true, true, true, true, false];
        let names = ["module", "tables", "reducers", "queries", "size", "content"];
        output::write_table(out, header(&names), rows.collect(), numeric)?;
        writeln!(out)?;
        let rows = self.tables.iter().map(|table| {
            vec![
                format!("{}.{}", table.module, table.name),
                style::thousands(table.rows as u64),
                style::bytes(table.bytes),
                table.hash.clone(),
            ]
        });
        let names = ["table", "rows", "size", "hash"];
        output::write_table(out, header(&names), rows.collect(), vec![false, true, true, false])
    }
}

fn modules(state: &CommittedState) -> Vec<ModuleAnswer> {
    let modules = state.modules().iter();
    modules
        .map(|module| ModuleAnswer {
            name: module.name().to_owned(),
            content_hash: hex(module.content_hash()),
            bytes: module.wasm_len(),
            tables: module.schema().tables.len(),
            reducers: module.schema().reducers.len(),
            queries: module.schema().queries.len(),
        })
        .collect()
}

fn tables(state: &CommittedState) -> Vec<TableAnswer> {
    let tables = state.tables().iter();
    tables
        .map(|table| TableAnswer {
            module: table.module_name().to_owned(),
            name: table.name().to_owned(),
            rows: table.len(),
            bytes: table.bytes(),
            hash: format!("{:016x}", table.hash()),
        })
        .collect()
}
