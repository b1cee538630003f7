//! Values as text, as Rust's `Debug` shows them.

use core::fmt;

use super::Value;
use crate::layout::{FieldLayout, Kind, Layout};

impl Layout {
    /// The text of an encoded value: `Greeting { id: 1, name: "Ada" }`. A
    /// struct without a name is `(id: 1, name: "Ada")`; timestamps are
    /// [`Rfc3339`], bytes `0x4164`. Bytes that are no value are shown as the
    /// reason why not.
    pub fn display<'a>(&'a self, bytes: &'a [u8]) -> Text<'a> {
        Text { layout: self, source: Source::Bytes(bytes) }
    }

    /// The text of a value, as [`Layout::display`] shows it.
    pub fn display_value<'a>(&'a self, value: &'a Value) -> Text<'a> {
        Text { layout: self, source: Source::Value(value) }
    }
}

/// Displays a value: see [`Layout::display`].
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    layout: &'a Layout,
    source: Source<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Bytes(&'a [u8]),
    Value(&'a Value),
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Value(value) => write_value(f, self.layout, value),
            Source::Bytes(bytes) => match self.layout.decode(bytes) {
                Ok(value) => write_value(f, self.layout, &value),
                Err(error) => write!(f, "<not a {}: {error}>", self.layout),
            },
        }
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, layout: &Layout, value: &Value) -> fmt::Result {
    match (value, layout.kind()) {
        (Value::Bool(value), _) => write!(f, "{value}"),
        (Value::Unsigned(value), _) => write!(f, "{value}"),
        (Value::Signed(value), _) => write!(f, "{value}"),
        (Value::F32(value), _) => write!(f, "{value:?}"),
        (Value::F64(value), _) => write!(f, "{value:?}"),
        (Value::Timestamp(micros), _) => write!(f, "{}", Rfc3339(*micros)),
        (Value::String(text), _) => write!(f, "{text:?}"),
        (Value::Bytes(bytes), _) => {
            f.write_str("0x")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
        (Value::Option(None), _) => f.write_str("None"),
        (Value::Option(Some(value)), Kind::Option(inner)) => {
            f.write_str("Some(")?;
            write_value(f, inner, value)?;
            f.write_str(")")
        }
        (Value::List(values), Kind::List(inner)) => {
            f.write_str("[")?;
            for (index, value) in values.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                write_value(f, inner, value)?;
            }
            f.write_str("]")
        }
        (Value::Struct(values), Kind::Struct(fields)) => match layout.name() {
            Some(name) => {
                write!(f, "{name} {{ ")?;
                write_fields(f, fields, values)?;
                f.write_str(" }")
            }
            None => {
                f.write_str("(")?;
                write_fields(f, fields, values)?;
                f.write_str(")")
            }
        },
        (Value::Enum { variant, fields: values }, Kind::Enum(variants)) => {
            match variants.get(usize::from(*variant)) {
                Some(variant) if values.is_empty() => f.write_str(&variant.name),
                Some(variant) => {
                    write!(f, "{} {{ ", variant.name)?;
                    write_fields(f, variant.fields.fields(), values)?;
                    f.write_str(" }")
                }
                None => write!(f, "<variant {variant}>"),
            }
        }
        // A value of another type.
        (value, _) => write!(f, "{value:?}"),
    }
}

fn write_fields(
    f: &mut fmt::Formatter<'_>,
    fields: &[FieldLayout],
    values: &[Value],
) -> fmt::Result {
    for (index, (field, value)) in fields.iter().zip(values).enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{}: ", field.name)?;
        write_value(f, &field.layout, value)?;
    }
    Ok(())
}

/// Displays microseconds since 1970-01-01T00:00:00Z as a date and time of
/// RFC 3339 in UTC: `2026-02-28T23:59:07Z`, and with six decimals where they
/// are not zero. Years beyond four digits have a sign and six, as in ISO 8601.
///
/// ```
/// use interstice_abi::value::Rfc3339;
/// assert_eq!(Rfc3339(951_782_400_000_001).to_string(), "2000-02-29T00:00:00.000001Z");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub i64);

const DAY: i64 = 86_400_000_000;

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(DAY));
        let micros = self.0.rem_euclid(DAY);
        let seconds = micros / 1_000_000;
        match year {
            0..=9999 => write!(f, "{year:04}")?,
            _ => write!(f, "{year:+07}")?,
        }
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match micros % 1_000_000 {
            0 => f.write_str("Z"),
            micros => write!(f, ".{micros:06}Z"),
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`. Years start in March there, so that a leap day is the
/// last of its year.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}
