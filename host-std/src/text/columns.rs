//! Rows of a CSV file -> arguments of calls, without a tree of values between.

use interstice_core::abi::{
    layout::{Kind, Layout},
    value::Value,
};
use thiserror::Error;

use super::{
    cell::{is_blank, optional_string},
    error::{TextError, quote, type_text},
    scalar::{self, not_scalar, value_from_text},
    timestamp,
};

/// Which column goes where in a call's arguments: made once per file, used per row.
///
/// Parameters of plain types are written straight into the argument bytes.
/// A single parameter that is a list, a struct or an enum with payload makes
/// every row take the longer way through [`Value`].
#[derive(Clone, Debug)]
pub struct ColumnPlan {
    params: Layout,
    /// Per parameter, in order: the column it comes from. An optional
    /// parameter may have none.
    columns: Vec<Option<usize>>,
    direct: bool,
}

/// Why a file's columns do not fit a function's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A parameter that is not optional has no column.
    #[error("no column is named `{parameter}` ({expected}); the columns are {}", columns.join(", "))]
    MissingColumn {
        /// The parameter.
        parameter: String,
        /// Its type.
        expected: String,
        /// The columns that there are.
        columns: Vec<String>,
    },
    /// Two columns have the name of one parameter.
    #[error("two columns are named `{parameter}`; rename one of them")]
    DuplicateColumn {
        /// The parameter.
        parameter: String,
    },
}

/// A cell that is not of its parameter's type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column `{column}`: {error}")]
pub struct CellError {
    /// The column's name.
    pub column: String,
    /// What is wrong with the cell.
    pub error: TextError,
}

impl ColumnPlan {
    /// Matches columns and parameters by name. Columns without a parameter are
    /// left aside; [`ColumnPlan::unused`] tells which.
    ///
    /// # Errors
    ///
    /// When a parameter has no column, or two.
    pub fn new(params: &Layout, header: &[&str]) -> Result<Self, PlanError> {
        let mut columns = Vec::new();
        for field in params.fields() {
            let mut found = header.iter().enumerate().filter(|(_, name)| name.trim() == field.name);
            let column = found.next().map(|(index, _)| index);
            if found.next().is_some() {
                return Err(PlanError::DuplicateColumn { parameter: field.name.clone() });
            }
            if column.is_none() && !matches!(field.layout.kind(), Kind::Option(_)) {
                return Err(PlanError::MissingColumn {
                    parameter: field.name.clone(),
                    expected: type_text(&field.layout),
                    columns: header.iter().map(|name| format!("`{}`", name.trim())).collect(),
                });
            }
            columns.push(column);
        }
        let direct = params.fields().iter().all(|field| is_direct(&field.layout));
        Ok(Self { params: params.clone(), columns, direct })
    }

    /// The indexes of columns that no parameter takes, of `count` columns.
    pub fn unused(&self, count: usize) -> impl Iterator<Item = usize> {
        (0..count).filter(|index| !self.columns.contains(&Some(*index)))
    }

    /// Replaces the content of `out` by the arguments that `row` writes.
    ///
    /// # Errors
    ///
    /// When a cell is not of its parameter's type; the error names the column.
    pub fn encode(&self, row: &csv::ByteRecord, out: &mut Vec<u8>) -> Result<(), CellError> {
        out.clear();
        if !self.direct {
            return self.encode_values(row, out);
        }
        out.resize(self.params.size(), 0);
        for (field, column) in self.params.fields().iter().zip(&self.columns) {
            let Some(cell) = column.and_then(|column| row.get(column)) else {
                continue; // An optional parameter without a column: all zero.
            };
            write_cell(&field.layout, cell, field.offset as usize, out)
                .map_err(|error| CellError { column: field.name.clone(), error })?;
        }
        Ok(())
    }

    fn encode_values(&self, row: &csv::ByteRecord, out: &mut Vec<u8>) -> Result<(), CellError> {
        let mut values = Vec::with_capacity(self.columns.len());
        for (field, column) in self.params.fields().iter().zip(&self.columns) {
            let value = match column.and_then(|column| row.get(column)) {
                Some(cell) => utf8(&field.layout, cell)
                    .and_then(|text| value_from_text(&field.layout, text))
                    .map_err(|error| CellError { column: field.name.clone(), error })?,
                None => Value::Option(None),
            };
            values.push(value);
        }
        self.params.encode(&Value::Struct(values), out).map_err(|error| {
            let column = error.path.split(['.', '[']).next().unwrap_or_default().to_owned();
            CellError { column, error: error.into() }
        })
    }
}

/// Whether a cell of this type can be written without knowing the cells before it.
fn is_direct(layout: &Layout) -> bool {
    match layout.kind() {
        Kind::List(_) | Kind::Struct(_) => false,
        Kind::Enum(_) => layout.is_fixed(),
        Kind::Option(inner) => !matches!(inner.kind(), Kind::Option(_)) && is_direct(inner),
        _ => true,
    }
}

fn utf8<'a>(layout: &Layout, cell: &'a [u8]) -> Result<&'a str, TextError> {
    std::str::from_utf8(cell).map_err(|_| {
        TextError::new(layout, format!("{:?} (not UTF-8)", String::from_utf8_lossy(cell)))
    })
}

/// Writes one value: its slot at `at`, its tail at the end of `out`. Cells come
/// in the order of the fields, which is the order that makes tails canonical.
fn write_cell(layout: &Layout, cell: &[u8], at: usize, out: &mut Vec<u8>) -> Result<(), TextError> {
    let text = utf8(layout, cell)?;
    match layout.kind() {
        Kind::String => {
            write_tail(at, text.as_bytes(), out);
            Ok(())
        }
        Kind::Option(_) if is_blank(text) => Ok(()),
        Kind::Option(inner) => {
            out[at] = 1;
            match inner.kind() {
                Kind::String => write_tail(at + 1, optional_string(text).as_bytes(), out),
                _ => write_cell(inner, cell, at + 1, out)?,
            }
            Ok(())
        }
        Kind::Enum(variants) => {
            let name = text.trim_ascii();
            let index = variants.iter().position(|variant| variant.name == name);
            out[at] = index.ok_or_else(|| TextError::new(layout, quote(text)))? as u8;
            Ok(())
        }
        _ => write_scalar(layout, text, at, out).ok_or_else(|| not_scalar(layout, text)),
    }
}

/// The types of [`scalar::parse_scalar`], without a [`Value`] between. `None`
/// when the text is not of the type.
fn write_scalar(layout: &Layout, text: &str, at: usize, out: &mut Vec<u8>) -> Option<()> {
    let text = text.trim_ascii();
    let mut put = |bytes: &[u8]| {
        let size = layout.size();
        out.get_mut(at..at + size)?.copy_from_slice(bytes.get(..size)?);
        Some(())
    };
    match layout.kind() {
        Kind::Bool => put(&[scalar::parse_bool(text)?.into()]),
        Kind::Unsigned(bytes) => put(&scalar::parse_unsigned(*bytes, text)?.to_le_bytes()),
        Kind::Signed(bytes) => put(&scalar::parse_signed(*bytes, text)?.to_le_bytes()),
        Kind::F32 => put(&scalar::parse_finite(text, f32::is_infinite)?.to_le_bytes()),
        Kind::F64 => put(&scalar::parse_finite(text, f64::is_infinite)?.to_le_bytes()),
        Kind::Timestamp => put(&timestamp::parse(text).ok()?.to_le_bytes()),
        Kind::Bytes => {
            write_tail(at, &scalar::parse_hex(text)?, out);
            Some(())
        }
        Kind::String | Kind::Option(_) | Kind::List(_) | Kind::Struct(_) | Kind::Enum(_) => None,
    }
}

fn write_tail(at: usize, content: &[u8], out: &mut Vec<u8>) {
    let offset = out.len() as u32;
    out[at..at + 4].copy_from_slice(&offset.to_le_bytes());
    out[at + 4..at + 8].copy_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(content);
}
