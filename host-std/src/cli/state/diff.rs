//! The rows that two commits of a log leave different.

use std::{collections::BTreeMap, io::Write};

use interstice_core::{
    Table,
    abi::{key::Key, value::Value},
};
use serde::Serialize;

use super::{name, state_at};
use crate::{
    cli::{
        exit::Exit,
        failure::{Failure, Outcome},
        open::DataArgs,
        output::{self, RowsFormat},
        style,
    },
    text::Typed,
};

/// Compare the tables as they were after two commits, and print the rows that
/// are not the same.
///
/// Ends with exit code 1 if there are any, and with 0 if all rows are the same.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The older state: as it was right after this commit.
    #[arg(value_name = "OLD-COMMIT")]
    from: u64,
    /// The newer one: as it was right after this commit; without it as it is
    /// now.
    #[arg(value_name = "NEW-COMMIT")]
    to: Option<u64>,
    #[command(flatten)]
    data: DataArgs,
    /// Format of the answer. CSV and JSONL have one line per row; in CSV the
    /// rows before and after are JSON.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: RowsFormat,
}

#[derive(Serialize)]
struct Answer<'a> {
    same: bool,
    rows: Vec<Difference<'a>>,
}

/// A row that is not the same in both states.
#[derive(Serialize)]
struct Difference<'a> {
    table: String,
    /// What became of it: `insert`, `update` or `delete`.
    change: &'static str,
    before: Option<Row<'a>>,
    after: Option<Row<'a>>,
}

/// A row and its table.
struct Row<'a> {
    table: &'a Table,
    value: Value,
}

impl Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Typed { layout: self.table.layout(), value: &self.value }.serialize(serializer)
    }
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let before = state_at(&self.data, Some(self.from))?;
        let after = state_at(&self.data, self.to)?;
        let mut rows = Vec::new();
        // Tables keep their numbers, and are never removed.
        for index in 0..before.tables().len().max(after.tables().len()) {
            differences(before.tables().get(index), after.tables().get(index), &mut rows);
        }
        let answer = Answer { same: rows.is_empty(), rows };
        let last = after.next_offset().0.saturating_sub(1);
        let mut out = output::stdout();
        match self.format {
            RowsFormat::Text => answer.write_text(&mut out, self.from, last)?,
            RowsFormat::Json => output::write_json(&mut out, &answer)?,
            RowsFormat::Yaml => output::write_yaml(&mut out, &answer)?,
            RowsFormat::Jsonl => {
                answer.rows.iter().try_for_each(|row| output::write_json_line(&mut out, row))?;
            }
            RowsFormat::Csv => answer.write_csv(&mut out)?,
        }
        out.flush()?;
        Ok(if answer.same { Exit::Good } else { Exit::Bad })
    }
}

/// The rows of a table that are not the same in two states.
fn differences<'a>(
    before: Option<&'a Table>,
    after: Option<&'a Table>,
    into: &mut Vec<Difference<'a>>,
) {
    let Some(table) = after.or(before) else { return };
    let (mut old, new) = (rows_by_key(before), rows_by_key(after));
    let decoded = |table: Option<&'a Table>, row: &[u8]| {
        let table = table?;
        Some(Row { table, value: table.layout().decode(row).ok()? })
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
        into.push(Difference {
            table: name(table),
            change: match (old, new) {
                (None, _) => "insert",
                (Some(_), Some(_)) => "update",
                (Some(_), None) => "delete",
            },
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

impl Answer<'_> {
    fn write_text(&self, out: &mut impl Write, from: u64, to: u64) -> Result<(), Failure> {
        if self.same {
            return Ok(writeln!(
                out,
                "every row is the same after commit {from} and after commit {to}"
            )?);
        }
        writeln!(out, "- as it was after commit {from}\n+ as it was after commit {to}\n")?;
        for row in &self.rows {
            for (sign, row) in [('-', &row.before), ('+', &row.after)] {
                if let Some(Row { table, value }) = row {
                    let text = output::cell_text(table.layout(), value);
                    writeln!(out, "{sign} {} {}", name(table), style::printable(&text))?;
                }
            }
        }
        let count = |change| {
            let rows = self.rows.iter().filter(|row| row.change == change);
            style::thousands(rows.count() as u64)
        };
        let [inserted, updated, deleted] = ["insert", "update", "delete"].map(count);
        let rows = style::count(self.rows.len() as u64, "row");
        writeln!(out, "\n{rows}: {inserted} inserted, {updated} updated, {deleted} deleted")?;
        Ok(())
    }

    fn write_csv(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(["table", "change", "before", "after"])?;
        let json = |row: &Option<Row<'_>>| match row {
            Some(row) => serde_json::to_string(row),
            None => Ok(String::new()),
        };
        for row in &self.rows {
            let (before, after) = (json(&row.before)?, json(&row.after)?);
            csv.write_record([&row.table, row.change, &before, &after])?;
        }
        Ok(csv.flush()?)
    }
}
