//! The state at any position of the log.

use std::{collections::BTreeMap, io::Write};

use clap::Subcommand;
use interstice_core::{
    CommittedState, Table, TxOffset,
    abi::{key::Key, value::Value},
};
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, Visited},
    output::{self, Format, RowsFormat},
    style,
};
use crate::{database::Go, text::Typed};

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
    Diff(DiffArgs),
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

/// Print the rows that differ between two commits. Ends with exit code 1 if
/// there are any.
#[derive(Debug, clap::Args)]
struct DiffArgs {
    /// The state behind this commit.
    #[arg(value_name = "COMMIT")]
    from: u64,
    /// And the one behind this one; without it the newest.
    #[arg(value_name = "COMMIT")]
    to: Option<u64>,
    #[command(flatten)]
    data: DataArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Debug, clap::Args)]
struct At {
    /// The state behind this commit; without it the newest.
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

/// The state behind commit `at`, or the newest one.
fn state_at(data: &DataArgs, at: Option<u64>) -> Result<CommittedState, Failure> {
    let dir = data.open_dir()?;
    let behind = at.map_or(u64::MAX, |at| at.saturating_add(1));
    let mut history = data.history(&dir, TxOffset(behind))?;
    let visited = history.visit(|_, offset, _| {
        Ok::<Go, Visited>(if offset.0 >= behind { Go::Stop } else { Go::On })
    });
    visited.map_err(|error| error.into_failure(dir.path()))?;
    let state = history.into_state();
    let commits = state.next_offset().0;
    match at {
        Some(at) if commits != behind => {
            let failure = Failure::usage(format!("the state behind commit {at} cannot be had"));
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
            return Err(match known.is_empty() {
                true => failure.with_help("no module is installed up to there"),
                false => failure.with_help(format!("there are {}", known.join(", "))),
            });
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

#[derive(Serialize)]
struct DiffAnswer<'a> {
    same: bool,
    rows: Vec<RowDifference<'a>>,
}

#[derive(Serialize)]
struct RowDifference<'a> {
    table: String,
    before: Option<Decoded<'a>>,
    after: Option<Decoded<'a>>,
}

/// A row and its table.
struct Decoded<'a> {
    table: &'a Table,
    value: Value,
}

impl Serialize for Decoded<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Typed { layout: self.table.layout(), value: &self.value }.serialize(serializer)
    }
}

impl DiffArgs {
    fn run(self) -> Outcome {
        let before = state_at(&self.data, Some(self.from))?;
        let after = state_at(&self.data, self.to)?;
        let mut rows = Vec::new();
        // Tables keep their numbers, and are never removed.
        for index in 0..before.tables().len().max(after.tables().len()) {
            differences(before.tables().get(index), after.tables().get(index), &mut rows);
        }
        let answer = DiffAnswer { same: rows.is_empty(), rows };
        output::answer(self.format, &answer, |out| answer.print_text(out))?;
        Ok(if answer.same { Exit::Good } else { Exit::Bad })
    }
}

/// The rows of a table that are not the same in two states.
fn differences<'a>(
    before: Option<&'a Table>,
    after: Option<&'a Table>,
    into: &mut Vec<RowDifference<'a>>,
) {
    let Some(table) = after.or(before) else { return };
    let (mut old, new) = (rows_by_key(before), rows_by_key(after));
    let decoded = |table: Option<&'a Table>, row: &[u8]| {
        let table = table?;
        Some(Decoded { table, value: table.layout().decode(row).ok()? })
    };
    let mut changed = BTreeMap::new();
    for (key, row) in new {
        match old.remove(&key) {
            Some(same) if same == row => {}
            other => drop(changed.insert(key, (other, Some(row)))),
        }
    }
    changed.extend(old.into_iter().map(|(key, row)| (key, (Some(row), None))));
    for (old, new) in changed.into_values() {
        into.push(RowDifference {
            table: name(table),
            before: old.and_then(|row| decoded(before, row)),
            after: new.and_then(|row| decoded(after, row)),
        });
    }
}

fn rows_by_key(table: Option<&Table>) -> BTreeMap<Key, &[u8]> {
    let mut rows = BTreeMap::new();
    let Some(table) = table else { return rows };
    for row in table.rows() {
        let mut key = Key::new();
        table.key_layout().from_row(row, &mut key);
        rows.insert(key, row);
    }
    rows
}

impl DiffAnswer<'_> {
    fn print_text(&self, out: &mut impl Write) -> Result<(), Failure> {
        if self.same {
            return Ok(writeln!(out, "the rows are the same")?);
        }
        for row in &self.rows {
            for (sign, decoded) in [('-', &row.before), ('+', &row.after)] {
                if let Some(Decoded { table, value }) = decoded {
                    let text = output::cell_text(table.layout(), value);
                    writeln!(out, "{sign} {} {}", row.table, style::printable(&text))?;
                }
            }
        }
        Ok(())
    }
}
