//! The lines that the station understands.
//!
//! ```text
//! r TIME PRESSURE TEMPERATURE WIND    a reading
//! status                              offset, state hash, memory
//! cycles                              what mounting has cost
//! log                                 the raw bytes of the log's flash
//! rest                                marks the end of the log, before power goes
//! selftest                            checks the flash, outside the log
//! format                              begins a new log, and loses the old one
//! ```

use core::{fmt, str};

use crate::decimal;

/// A line that was understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// A reading.
    Record(Reading),
    /// What the station has, in one line.
    Status,
    /// What mounting has cost.
    Cycles,
    /// The bytes of the log.
    Log,
    /// Marks the end of the log.
    Rest,
    /// Checks the flash driver.
    SelfTest,
    /// Begins a new log.
    Format,
}

/// The arguments of `weather.record`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// When it was measured, in microseconds since 1970.
    pub time: i64,
    /// Pressure in hPa, temperature in degrees Celsius, wind in m/s.
    pub values: [f64; 3],
}

/// Why a line was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// It is longer than a line may be, or was damaged on the way.
    Line,
    /// It is not text.
    Text,
    /// There is no such command.
    Unknown,
    /// A reading has four numbers.
    Reading,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "the line is too long or damaged",
            Self::Text => "the line is not text",
            Self::Unknown => "commands are r, status, cycles, log, rest, selftest, format",
            Self::Reading => "a reading is: r TIME PRESSURE TEMPERATURE WIND, in decimals",
        })
    }
}

impl Reading {
    /// The arguments in row layout: four fixed slots, little-endian.
    pub fn args(&self) -> [u8; 32] {
        let mut args = [0; 32];
        let [pressure, temperature, wind] = self.values.map(f64::to_le_bytes);
        let slots = [self.time.to_le_bytes(), pressure, temperature, wind];
        for (slot, bytes) in args.chunks_exact_mut(8).zip(slots) {
            slot.copy_from_slice(&bytes);
        }
        args
    }

    fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let time = words.next()?.parse().ok()?;
        let mut values = [0.0; 3];
        for value in &mut values {
            *value = decimal::parse(words.next()?)?;
        }
        words.next().is_none().then_some(Self { time, values })
    }
}

impl Command {
    /// Reads a line, without its end.
    ///
    /// # Errors
    ///
    /// When it is not a command.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = str::from_utf8(line).map_err(|_| CommandError::Text)?;
        let mut words = line.split_ascii_whitespace();
        let command = match words.next() {
            Some("r") => {
                return Reading::parse(words).map(Self::Record).ok_or(CommandError::Reading);
            }
            Some("status") => Self::Status,
            Some("cycles") => Self::Cycles,
            Some("log") => Self::Log,
            Some("rest") => Self::Rest,
            Some("selftest") => Self::SelfTest,
            Some("format") => Self::Format,
            _ => return Err(CommandError::Unknown),
        };
        if words.next().is_some() { Err(CommandError::Unknown) } else { Ok(command) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_becomes_the_arguments_of_record() {
        let command = Command::parse(b"r 1262307600000000 1016.6 -4.0 3.8").unwrap();
        let Command::Record(reading) = command else { panic!("{command:?}") };
        assert_eq!(reading, Reading { time: 1_262_307_600_000_000, values: [1016.6, -4.0, 3.8] });
        let args = reading.args();
        assert_eq!(args[..8], 1_262_307_600_000_000_i64.to_le_bytes());
        assert_eq!(args[16..24], (-4.0_f64).to_le_bytes());
    }

    #[test]
    fn what_is_not_a_command_is_refused() {
        for (line, error) in [
            (&b"r 1 2 3"[..], CommandError::Reading),
            (b"r 1 2 3 4 5", CommandError::Reading),
            (b"r one 2 3 4", CommandError::Reading),
            (b"", CommandError::Unknown),
            (b"status now", CommandError::Unknown),
            (b"\xff", CommandError::Text),
        ] {
            assert_eq!(Command::parse(line), Err(error));
        }
    }
}
