//! The formats of a command's answer.

use std::{
    io::{self, BufWriter, IsTerminal as _, StdoutLock, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, Table};
use interstice_core::abi::{
    layout::{Kind, Layout},
    value::Value,
};
use serde::Serialize;

use super::{
    exit::Exit,
    failure::{Failure, Report},
    style::printable,
};
use crate::text::Typed;
pub(crate) use crate::text::cell_text;

/// Formats of an answer that is one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// Formats of an answer that may be many rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowsFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One JSON document per row and line.
    Jsonl,
    /// One YAML document.
    Yaml,
    /// A header line, then one line per row.
    Csv,
}

/// Standard output, in large pieces.
pub(crate) type Out = BufWriter<Stdout>;

/// Standard output, which is to be flushed at the end.
pub(crate) fn stdout() -> Out {
    BufWriter::with_capacity(64 * 1024, Stdout(io::stdout().lock()))
}

/// Refuses to write `what`, which is no text, to a terminal.
pub(crate) fn refuse_terminal(what: &str) -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        true => Err(Failure::usage(format!("{what} is no text for a terminal"))
            .with_help("write it to a file with --output FILE, or into a pipe")),
        false => Ok(()),
    }
}

/// Standard output. What reached it is remembered, so that nothing else comes
/// behind half an answer.
pub(crate) struct Stdout(StdoutLock<'static>);

static IS_BEGUN: AtomicBool = AtomicBool::new(false);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        IS_BEGUN.store(true, Ordering::Relaxed);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How a command failed, for programs.
#[derive(Serialize)]
struct ErrorAnswer<'a> {
    error: ErrorDetails<'a>,
}

#[derive(Serialize)]
struct ErrorDetails<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Typed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

/// Writes how a command failed as its answer, unless it has begun another one.
/// People read it on standard error.
pub(crate) fn error_answer(format: RowsFormat, report: &Report) -> Result<(), Failure> {
    if IS_BEGUN.load(Ordering::Relaxed) {
        return Ok(());
    }
    let kind = match report.exit {
        Exit::Good | Exit::Bad => "bad",
        Exit::Usage => "usage",
        Exit::Incomplete => "incomplete",
    };
    let call = report.call.as_deref();
    let value = call.and_then(|call| call.value.as_ref());
    let error = ErrorDetails {
        function: call.map(|call| call.function.as_str()),
        kind: call.map_or(kind, |call| call.kind),
        message: &report.message,
        value: value.map(|(layout, value)| Typed { layout, value }),
        next: report.help.as_deref(),
    };
    let (answer, mut out) = (ErrorAnswer { error }, stdout());
    match format {
        RowsFormat::Json => write_json(&mut out, &answer)?,
        RowsFormat::Jsonl => write_json_line(&mut out, &answer)?,
        RowsFormat::Yaml => write_yaml(&mut out, &answer)?,
        RowsFormat::Text | RowsFormat::Csv => {}
    }
    Ok(out.flush()?)
}

/// Writes a command's answer. `text` writes it for people.
pub(crate) fn answer(
    format: Format,
    answer: &impl Serialize,
    text: impl FnOnce(&mut Out) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut out = stdout();
    match format {
        Format::Json => write_json(&mut out, answer)?,
        Format::Yaml => write_yaml(&mut out, answer)?,
        Format::Text => text(&mut out)?,
    }
    Ok(out.flush()?)
}

/// Writes one JSON document, indented.
pub(crate) fn write_json(out: &mut impl Write, value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// Writes one JSON document as a line.
pub(crate) fn write_json_line(out: &mut impl Write, value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// Writes one YAML document.
pub(crate) fn write_yaml(out: &mut impl Write, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_saphyr::to_string(value)
        .map_err(|error| Failure::incomplete(format!("could not write YAML: {error}")))?;
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        writeln!(out)?;
    }
    Ok(())
}

/// Writes a value in a format for rows.
pub(crate) fn write_value(
    out: &mut impl Write,
    format: RowsFormat,
    layout: &Layout,
    value: &Value,
) -> Result<(), Failure> {
    let typed = Typed { layout, value };
    match format {
        RowsFormat::Json => write_json(out, &typed),
        RowsFormat::Yaml => write_yaml(out, &typed),
        RowsFormat::Jsonl => match (layout.kind(), value) {
            (Kind::List(layout), Value::List(values)) => {
                values.iter().try_for_each(|value| write_json_line(out, &Typed { layout, value }))
            }
            _ => write_json_line(out, &typed),
        },
        RowsFormat::Csv => write_csv(out, layout, value),
        RowsFormat::Text => write_text(out, layout, value),
    }
}

/// Writes rows, which are all of one type.
pub(crate) fn write_rows(
    out: &mut impl Write,
    format: RowsFormat,
    layout: &Layout,
    rows: &[Value],
) -> Result<(), Failure> {
    let typed = || rows.iter().map(|value| Typed { layout, value });
    match format {
        RowsFormat::Json => write_json(out, &typed().collect::<Vec<_>>()),
        RowsFormat::Yaml => write_yaml(out, &typed().collect::<Vec<_>>()),
        RowsFormat::Jsonl => typed().try_for_each(|row| write_json_line(out, &row)),
        RowsFormat::Csv => write_csv_rows(out, layout, rows),
        RowsFormat::Text => write_text_rows(out, layout, rows),
    }
}

fn write_csv(out: &mut impl Write, layout: &Layout, value: &Value) -> Result<(), Failure> {
    match (layout.kind(), value) {
        (Kind::List(layout), Value::List(rows)) => write_csv_rows(out, layout, rows),
        _ => write_csv_rows(out, layout, std::slice::from_ref(value)),
    }
}

fn write_csv_rows(out: &mut impl Write, layout: &Layout, rows: &[Value]) -> Result<(), Failure> {
    let columns = Columns::of(layout);
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(&columns.names)?;
    for row in rows {
        csv.write_record(columns.cells(row))?;
    }
    Ok(csv.flush()?)
}

/// For people: a list of rows as a table, one row as lines, all else as it is.
fn write_text(out: &mut impl Write, layout: &Layout, value: &Value) -> Result<(), Failure> {
    match (layout.kind(), value) {
        (Kind::List(inner), Value::List(rows)) if matches!(inner.kind(), Kind::Struct(_)) => {
            write_text_rows(out, inner, rows)
        }
        (Kind::List(inner), Value::List(rows)) => rows
            .iter()
            .try_for_each(|row| Ok(writeln!(out, "{}", printable(&cell_text(inner, row)))?)),
        (Kind::Option(inner), Value::Option(Some(value))) => write_text(out, inner, value),
        (Kind::Option(_), Value::Option(None)) => Ok(writeln!(out, "none")?),
        (Kind::Struct(_), Value::Struct(_)) => {
            let columns = Columns::of(layout);
            let width = columns.names.iter().map(String::len).max().unwrap_or(0) + 1;
            for (name, text) in columns.names.iter().zip(columns.cells(value)) {
                writeln!(out, "{:width$} {}", format!("{name}:"), printable(&text))?;
            }
            Ok(())
        }
        _ => Ok(writeln!(out, "{}", printable(&cell_text(layout, value)))?),
    }
}

fn write_text_rows(out: &mut impl Write, layout: &Layout, rows: &[Value]) -> Result<(), Failure> {
    let columns = Columns::of(layout);
    let numeric = columns.layouts.iter().map(|layout| is_number(layout)).collect();
    let rows = rows.iter().map(|row| columns.cells(row)).collect();
    write_table(out, columns.names, rows, numeric)
}

/// The columns of a table of values: the fields of a struct, those of a struct
/// inside it as `outer.inner`. A value that is no struct is one column.
struct Columns<'a> {
    names: Vec<String>,
    layouts: Vec<&'a Layout>,
}

impl<'a> Columns<'a> {
    fn of(layout: &'a Layout) -> Self {
        let mut columns = Self { names: Vec::new(), layouts: Vec::new() };
        columns.collect("", layout);
        columns
    }

    fn collect(&mut self, name: &str, layout: &'a Layout) {
        match layout.kind() {
            Kind::Struct(fields) => {
                let dot = if name.is_empty() { "" } else { "." };
                for field in fields.iter() {
                    self.collect(&format!("{name}{dot}{}", field.name), &field.layout);
                }
            }
            _ => {
                self.names.push(if name.is_empty() { "value".to_owned() } else { name.to_owned() });
                self.layouts.push(layout);
            }
        }
    }

    fn cells(&self, row: &Value) -> Vec<String> {
        let mut values = Vec::with_capacity(self.layouts.len());
        leaves(row, &mut values);
        self.layouts.iter().zip(values).map(|(layout, value)| cell_text(layout, value)).collect()
    }
}

/// The values of [`Columns`], in the same order.
fn leaves<'a>(value: &'a Value, into: &mut Vec<&'a Value>) {
    match value {
        Value::Struct(values) => values.iter().for_each(|value| leaves(value, into)),
        other => into.push(other),
    }
}

/// Writes a table without lines, numbers to the right.
pub(crate) fn write_table(
    out: &mut impl Write,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    numeric: Vec<bool>,
) -> Result<(), Failure> {
    let cell = |column: usize, text: String| {
        let right = numeric.get(column).is_some_and(|numeric| *numeric);
        let alignment = if right { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(printable(&text)).set_alignment(alignment)
    };
    let line = |texts: Vec<String>| {
        texts.into_iter().enumerate().map(|(column, text)| cell(column, text)).collect::<Vec<_>>()
    };
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(line(header));
    table.add_rows(rows.into_iter().map(line));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn is_number(layout: &Layout) -> bool {
    match layout.kind() {
        Kind::Unsigned(_) | Kind::Signed(_) | Kind::F32 | Kind::F64 => true,
        Kind::Option(inner) => is_number(inner),
        _ => false,
    }
}
