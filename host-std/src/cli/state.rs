//! The state at any position of the log.

use std::io::Write;

use clap::Subcommand;
use interstice_core::{CommittedState, Table, TxOffset, abi::value::Value};
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, Visited, history, reading},
    output::{self, Format, RowsFormat},
    style,
};
use crate::database::Go;

mod diff;

/// Show the state that the log leads to, at any of its commits.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Hash(HashArgs),
    Show(ShowArgs),
    Diff(diff::Args),
}

/// Print the state hash.
#[derive(Debug, clap::Args)]
struct HashArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    at: At,
    /// The hash of each table too.
    #[arg(long)]
    tables: bool,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// Print the rows of a table.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The table, as MODULE.TABLE.
    #[arg(value_name = "MODULE.TABLE")]
    table: String,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    at: At,
    /// Format of the rows.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: RowsFormat,
}

#[derive(Clone, Debug, clap::Args)]
struct At {
    /// As it was right after this commit; without it as it is now.
    #[arg(long, value_name = "COMMIT")]
    at: Option<u64>,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        match self.command {
            Command::Hash(args) => args.run(),
            Command::Show(args) => args.run(),
            Command::Diff(args) => args.run(),
        }
    }
}

/// The state right after commit `at`, or the newest one.
fn state_at(data: &DataArgs, at: Option<u64>) -> Result<CommittedState, Failure> {
    let dir = data.open_dir()?;
    let behind = at.map_or(u64::MAX, |at| at.saturating_add(1));
    let state = reading(|| {
        let mut history = history(&dir, TxOffset(behind))?;
        let visited = history.visit(|_, offset, _| {
            Ok::<Go, Visited>(if offset.0 >= behind { Go::Stop } else { Go::On })
        });
        visited.map_err(|error| error.into_failure(dir.path()))?;
        Ok(history.into_state())
    })?;
    let commits = state.next_offset().0;
    match at {
        Some(at) if commits != behind => {
            let failure = Failure::usage(format!("the state after commit {at} cannot be had"));
            Err(failure.with_help(match commits > behind {
                true => format!("what is left of the log begins with commit {commits}"),
                false => match commits.checked_sub(1) {
                    Some(last) => format!("the last commit is {last}"),
                    None => "the log has no commit".to_owned(),
                },
            }))
        }
        _ => Ok(state),
    }
}

#[derive(Serialize)]
struct HashAnswer {
    /// Commits that made the state.
    commits: u64,
    state_hash: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tables: Vec<TableHash>,
}

#[derive(Serialize)]
struct TableHash {
    table: String,
    rows: usize,
    hash: String,
}

impl HashArgs {
    fn run(self) -> Outcome {
        let state = state_at(&self.data, self.at.at)?;
        let table = |table: &Table| TableHash {
            table: name(table),
            rows: table.len(),
            hash: format!("{:016x}", table.hash()),
        };
        let tables = if self.tables { state.tables().iter().map(table).collect() } else { vec![] };
        let state_hash = format!("{:016x}", state.state_hash());
        let answer = HashAnswer { commits: state.next_offset().0, state_hash, tables };
        output::answer(self.format, &answer, |out| {
            writeln!(out, "{}", answer.state_hash)?;
            for TableHash { table, rows, hash } in &answer.tables {
                writeln!(out, "{hash}  {table}, {}", style::count(*rows as u64, "row"))?;
            }
            Ok(())
        })?;
        Ok(Exit::Good)
    }
}

impl ShowArgs {
    fn run(self) -> Outcome {
        let state = state_at(&self.data, self.at.at)?;
        let table = state.tables().iter().find(|table| name(table) == self.table);
        let Some(table) = table else {
            let known: Vec<String> = state.tables().iter().map(name).collect();
            let failure = Failure::usage(format!("there is no table `{}`", self.table));
            let named = |table: &&Table| table.name() == self.table;
            return Err(failure.with_help(match state.tables().iter().find(named) {
                Some(table) => format!("write {}", name(table)),
                None if known.is_empty() => "no module was installed up to there".to_owned(),
                None => format!("there are {}", known.join(", ")),
            }));
        };
        let rows = table.rows().map(|row| table.layout().decode(row));
        let rows: Vec<Value> = rows.collect::<Result<_, _>>().map_err(Failure::incomplete)?;
        let mut out = output::stdout();
        output::write_rows(&mut out, self.format, table.layout(), &rows)?;
        out.flush()?;
        Ok(Exit::Good)
    }
}

fn name(table: &Table) -> String {
    format!("{}.{}", table.module_name(), table.name())
}
