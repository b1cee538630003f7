#![no_std]
#![forbid(unsafe_code)]
//! Hourly weather: readings, days, and alarms.
//!
//! Readings come in through [`record()`]. Everything else follows from them:
//!
//! ```text
//! record -> Reading -> summarize -> Day
//!                                -> Warning -> raise -> Alarm
//! ```
//!
//! [`summarize`] runs after each reading and keeps its day's minimum, maximum
//! and mean. A reading beyond a threshold is a [`Warning`]; [`raise`] runs
//! after each and joins those that follow one another to one [`Alarm`]. An
//! ordinary reading is two transactions.
//!
//! [`queries`] answers what a person would ask.

use interstice_sdk::prelude::*;

pub mod queries;
#[cfg(test)]
mod tests;

/// Frost on the ground is possible up to this air temperature, in degrees Celsius.
pub const FROST_AT: f64 = 3.5;
/// Wind from this speed on is worth a warning, in m/s.
pub const WIND_FROM: f64 = 4.6;
/// The pressure falls fast if it falls by this much, in hPa, within [`PRESSURE_SPAN`].
/// Readings have one decimal: half a decimal below 1.1, so that rounding decides nothing.
pub const PRESSURE_DROP_FROM: f64 = 1.05;
/// How far back a reading's pressure is compared.
pub const PRESSURE_SPAN: Duration = Duration::from_hours(3);
/// An alarm is over after this long without a warning.
pub const QUIET: Duration = Duration::from_hours(3);

/// What the weather was at one time.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When it was measured.
    #[key]
    pub at: Timestamp,
    /// Pressure at sea level in hPa.
    pub pressure: f64,
    /// Air temperature in degrees Celsius.
    pub temperature: f64,
    /// Wind speed in m/s.
    pub wind: f64,
}

/// What the weather was on one day.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// The year.
    #[key]
    pub year: i32,
    /// 1 to 12.
    #[key]
    pub month: u8,
    /// 1 to 31.
    #[key]
    pub day: u8,
    /// How many readings there are of it.
    pub readings: u32,
    /// Pressure in hPa.
    pub pressure: Summary,
    /// Temperature in degrees Celsius.
    pub temperature: Summary,
    /// Wind speed in m/s.
    pub wind: Summary,
}

/// Several values in three numbers.
#[derive(Clone, Copy, Column, Debug, PartialEq)]
pub struct Summary {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The arithmetic mean.
    pub mean: f64,
}

/// A reading beyond a threshold.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// When it was measured.
    #[key]
    pub at: Timestamp,
    /// Which threshold.
    #[key]
    pub kind: Kind,
    /// What was measured: degrees Celsius, m/s, or the drop in hPa.
    pub value: f64,
}

/// Warnings of one kind that followed one another.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// The first warning's time.
    #[key]
    pub since: Timestamp,
    /// What the alarm is about.
    #[key]
    pub kind: Kind,
    /// The last warning's time.
    pub until: Timestamp,
    /// How many warnings there were.
    pub warnings: u32,
    /// The most extreme value among them.
    pub worst: f64,
}

/// What a warning or an alarm is about.
#[derive(Clone, Copy, Column, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The pressure falls fast: a storm may come.
    PressureDrop,
    /// Frost on the ground is possible.
    Frost,
    /// Strong wind.
    Wind,
}

/// Why a reading is not recorded.
#[derive(Column, Debug, PartialEq)]
pub enum RecordError {
    /// There is a reading of this time.
    AlreadyRecorded,
    /// No weather on Earth has such a value: the sensor is broken.
    Implausible {
        /// The argument.
        quantity: String,
        /// Its value.
        value: f64,
    },
}

/// Takes a reading in.
#[reducer(inserts(Reading))]
pub fn record(
    ctx: &RecordContext,
    date: Timestamp,
    pressure: f64,
    temperature: f64,
    wind: f64,
) -> Result<(), RecordError> {
    plausible("pressure", pressure, 850.0, 1100.0)?;
    plausible("temperature", temperature, -90.0, 60.0)?;
    plausible("wind", wind, 0.0, 120.0)?;
    let reading = Reading { at: date, pressure, temperature, wind };
    ctx.reading.insert(reading).map_err(|_| RecordError::AlreadyRecorded)?;
    Ok(())
}

fn plausible(quantity: &str, value: f64, min: f64, max: f64) -> Result<(), RecordError> {
    // Written so that a NaN is refused, too.
    if value >= min && value <= max {
        return Ok(());
    }
    Err(RecordError::Implausible { quantity: quantity.into(), value })
}

/// Keeps the day of each reading, and warns.
#[reducer(on(insert(Reading)), reads(Reading), inserts(Day, Warning), updates(Day))]
pub fn summarize(ctx: &SummarizeContext, reading: Reading) {
    let Date { year, month, day } = reading.at.date();
    match ctx.day.get((year, month, day)) {
        Some(mut day) => {
            day.add(&reading);
            let _ = ctx.day.update(day);
        }
        None => {
            let _ = ctx.day.insert(Day::of(&reading));
        }
    }

    let at = reading.at;
    let warn = |kind, value| {
        let _ = ctx.warning.insert(Warning { at, kind, value });
    };
    if reading.temperature <= FROST_AT {
        warn(Kind::Frost, reading.temperature);
    }
    if reading.wind >= WIND_FROM {
        warn(Kind::Wind, reading.wind);
    }
    if let Some(earlier) = ctx.reading.get(at - PRESSURE_SPAN) {
        let drop = earlier.pressure - reading.pressure;
        if drop >= PRESSURE_DROP_FROM {
            warn(Kind::PressureDrop, drop);
        }
    }
}

/// Makes alarms of warnings: a new one, or a longer one.
#[reducer(on(insert(Warning)), inserts(Alarm), updates(Alarm))]
pub fn raise(ctx: &RaiseContext, warning: Warning) {
    let Warning { at, kind, value } = warning;
    let latest = ctx.alarm.scan().filter(Alarm::kind.eq(kind)).rev().first();
    match latest {
        Some(mut alarm) if at >= alarm.since && at - alarm.until <= QUIET => {
            alarm.until = alarm.until.max(at);
            alarm.warnings += 1;
            alarm.worst = kind.worse(alarm.worst, value);
            let _ = ctx.alarm.update(alarm);
        }
        _ => {
            info!("new alarm");
            let alarm = Alarm { since: at, kind, until: at, warnings: 1, worst: value };
            let _ = ctx.alarm.insert(alarm);
        }
    }
}

impl Kind {
    /// The more extreme of two values.
    fn worse(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Frost => a.min(b),
            Self::PressureDrop | Self::Wind => a.max(b),
        }
    }
}

impl Day {
    /// The day of its first reading.
    fn of(reading: &Reading) -> Self {
        let Date { year, month, day } = reading.at.date();
        Self {
            year,
            month,
            day,
            readings: 1,
            pressure: Summary::of(reading.pressure),
            temperature: Summary::of(reading.temperature),
            wind: Summary::of(reading.wind),
        }
    }

    /// Its midnight.
    fn start(&self) -> Timestamp {
        Timestamp::from_date(self.year, self.month, self.day)
    }

    /// Takes in another reading.
    fn add(&mut self, reading: &Reading) {
        self.readings += 1;
        self.pressure.add(reading.pressure, self.readings);
        self.temperature.add(reading.temperature, self.readings);
        self.wind.add(reading.wind, self.readings);
    }
}

impl Summary {
    fn of(value: f64) -> Self {
        Self { min: value, max: value, mean: value }
    }

    /// Takes in the value that is the `count`th.
    fn add(&mut self, value: f64, count: u32) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.mean += (value - self.mean) / f64::from(count);
    }

    /// Takes in another summary; they are of `count` and `more` values.
    fn join(&mut self, count: u32, other: Self, more: u32) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        let share = f64::from(more) / f64::from(count + more);
        self.mean += (other.mean - self.mean) * share;
    }
}
