//! Rows of a CSV or JSONL file -> arguments of calls, one row at a time.

use std::io::{self, BufRead, BufReader, Read};

use interstice_core::abi::layout::Layout;
use thiserror::Error;

use super::{
    CellError, ColumnPlan, PlanError, TextError, arguments_from_json,
    guarded::Guarded,
    json_document::{json_error_text, parse_json},
};

/// Bytes read from a file at once.
const BUFFER_LEN: usize = 64 * 1024;

/// The format of a file of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsFormat {
    /// Comma-separated values, the first line naming the columns (RFC 4180).
    Csv,
    /// One JSON object, or array, per line.
    Jsonl,
}

/// A file of rows that become the arguments of one function.
pub struct Rows<R> {
    params: Layout,
    source: Source<R>,
    row: u64,
}

enum Source<R> {
    Csv(Box<CsvSource<R>>),
    Jsonl { reader: BufReader<Guarded<R>>, line: Vec<u8>, number: u64 },
}

struct CsvSource<R> {
    reader: csv::Reader<Guarded<R>>,
    record: csv::ByteRecord,
    plan: ColumnPlan,
    unused: Vec<String>,
}

/// Where a row is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which row it is, counted from 1, without the header.
    pub row: u64,
    /// The line it begins on, counted from 1.
    pub line: u64,
}

/// Why a file of rows cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RowsError {
    /// The system could not read the file. Nothing more can be read.
    #[error("could not be read: {0}")]
    Io(#[from] io::Error),
    /// The file has no line at all.
    #[error("is empty; its first line has to name the columns")]
    NoHeader,
    /// The first line has a quote too many. Nothing can be read.
    #[error("line 1: a quote is not closed, or stands alone")]
    HeaderQuotes,
    /// The columns do not fit the parameters. Nothing can be read.
    #[error("{0}")]
    Columns(#[from] PlanError),
    /// One row is bad. The rows behind it can be read.
    #[error("line {}: {fault}", place.line)]
    Row {
        /// Which row.
        place: Place,
        /// What is wrong with it.
        fault: RowFault,
    },
}

/// What is wrong with a row.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RowFault {
    /// A cell is not of its parameter's type.
    #[error("{0}")]
    Cell(#[from] CellError),
    /// The row has more or fewer cells than the header.
    #[error("the header names {expected} columns, the row has {found}")]
    Columns {
        /// Columns of the header.
        expected: u64,
        /// Columns of the row.
        found: u64,
    },
    /// It has a quote too many. The reader takes what follows into the cell.
    #[error(
        "a quote is not closed, or stands alone; a quote in a cell is written twice, and the cell \
         in quotes{}",
        taken_text(*taken)
    )]
    Quotes {
        /// Lines behind the row's first, which are in the cell now.
        taken: u64,
    },
    /// The line is not JSON, or has a key twice.
    #[error("column {column}: {why}")]
    Json {
        /// Where in the line, counted from 1.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// The JSON is not what the parameters ask for.
    #[error("{0}")]
    Value(#[from] TextError),
}

impl<R: Read> Rows<R> {
    /// Begins to read. For CSV this reads the header.
    ///
    /// # Errors
    ///
    /// When the columns do not fit the parameters, or nothing can be read.
    pub fn new(input: R, format: RowsFormat, params: &Layout) -> Result<Self, RowsError> {
        let source = match format {
            RowsFormat::Csv => open_csv(input, params)?,
            RowsFormat::Jsonl => Source::Jsonl {
                reader: BufReader::with_capacity(BUFFER_LEN, Guarded::new(input, false)),
                line: Vec::new(),
                number: 0,
            },
        };
        Ok(Self { params: params.clone(), source, row: 0 })
    }

    /// Columns of the file that no parameter takes.
    pub fn unused_columns(&self) -> &[String] {
        match &self.source {
            Source::Csv(csv) => &csv.unused,
            Source::Jsonl { .. } => &[],
        }
    }

    /// Reads the next row into `args`, in row layout; `None` at the end.
    ///
    /// # Errors
    ///
    /// After [`RowsError::Row`] the rows behind the bad one can still be read.
    pub fn next(&mut self, args: &mut Vec<u8>) -> Result<Option<Place>, RowsError> {
        let place = match &mut self.source {
            Source::Csv(csv) => read_record(&mut csv.reader, &mut csv.record, self.row)?,
            Source::Jsonl { reader, line, number } => read_line(reader, line, number, self.row)?,
        };
        let Some(place) = place else { return Ok(None) };
        self.row = place.row;
        let done = match &self.source {
            Source::Csv(csv) => csv.plan.encode(&csv.record, args).map_err(RowFault::from),
            Source::Jsonl { line, .. } => encode_json(&self.params, line, args),
        };
        match done {
            Ok(()) => Ok(Some(place)),
            Err(fault) => Err(RowsError::Row { place, fault }),
        }
    }
}

fn open_csv<R: Read>(input: R, params: &Layout) -> Result<Source<R>, RowsError> {
    let input = Guarded::new(input, true);
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(BUFFER_LEN).from_reader(input);
    let header = reader.byte_headers().map_err(io::Error::from)?;
    if header.is_empty() {
        return Err(RowsError::NoHeader);
    }
    let header: Vec<String> =
        header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    if !has_closed_quotes(&mut reader) {
        return Err(RowsError::HeaderQuotes);
    }
    // Spreadsheets write a byte order mark; it is no part of a name.
    let header: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    let plan = ColumnPlan::new(params, &header)?;
    let unused = plan.unused(header.len()).filter_map(|index| header.get(index));
    let unused = unused.map(|name| name.trim().to_owned()).collect();
    Ok(Source::Csv(Box::new(CsvSource { reader, record: csv::ByteRecord::new(), plan, unused })))
}

/// Whether every quote of what was read last is closed.
fn has_closed_quotes<R: Read>(reader: &mut csv::Reader<Guarded<R>>) -> bool {
    let end = reader.position().byte();
    reader.get_mut().has_pairs_before(end)
}

/// The line that a row begins on, of which the reader knows only where the one before it
/// has ended: before a line feed, or before blank lines.
fn line_of<R: Read>(reader: &mut csv::Reader<Guarded<R>>, at: Option<&csv::Position>) -> u64 {
    let Some(at) = at else { return 0 };
    reader.get_mut().line_of(at.byte()).unwrap_or_else(|| at.line())
}

/// What is said of a row at `place`, which was read last and has a quote too many.
fn open_quote<R: Read>(reader: &csv::Reader<Guarded<R>>, place: Place) -> RowsError {
    let taken = reader.position().line().saturating_sub(place.line + 1);
    RowsError::Row { place, fault: RowFault::Quotes { taken } }
}

fn taken_text(lines: u64) -> String {
    match lines {
        0 => String::new(),
        1 => "; the line behind it was taken into the cell".to_owned(),
        lines => format!("; the {lines} lines behind it were taken into the cell"),
    }
}

#[inline]
fn read_record<R: Read>(
    reader: &mut csv::Reader<Guarded<R>>,
    record: &mut csv::ByteRecord,
    rows_before: u64,
) -> Result<Option<Place>, RowsError> {
    let row = rows_before + 1;
    let read = reader.read_byte_record(record);
    let is_closed = has_closed_quotes(reader);
    match read {
        Ok(true) => {
            let place = Place { row, line: line_of(reader, record.position()) };
            match is_closed {
                true => Ok(Some(place)),
                false => Err(open_quote(reader, place)),
            }
        }
        Ok(false) => Ok(None),
        Err(error) => Err(match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let place = Place { row, line: line_of(reader, pos.as_ref()) };
                let fault = RowFault::Columns { expected: *expected_len, found: *len };
                match is_closed {
                    true => RowsError::Row { place, fault },
                    false => open_quote(reader, place),
                }
            }
            _ => RowsError::Io(error.into()),
        }),
    }
}

fn read_line<R: Read>(
    reader: &mut BufReader<Guarded<R>>,
    line: &mut Vec<u8>,
    number: &mut u64,
    rows_before: u64,
) -> Result<Option<Place>, RowsError> {
    loop {
        line.clear();
        if reader.read_until(b'\n', line)? == 0 {
            return Ok(None);
        }
        *number += 1;
        if !line.trim_ascii().is_empty() {
            return Ok(Some(Place { row: rows_before + 1, line: *number }));
        }
    }
}

fn encode_json(params: &Layout, line: &[u8], args: &mut Vec<u8>) -> Result<(), RowFault> {
    args.clear();
    let json = parse_json(line.trim_ascii())
        .map_err(|error| RowFault::Json { column: error.column(), why: json_error_text(&error) })?;
    let value = arguments_from_json(params, &json)?;
    params.encode(&value, args).map_err(|error| TextError::from(error).into())
}
