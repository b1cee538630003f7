//! The same module, the same readings, on this machine: what every answer of
//! a board must be.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, anyhow, ensure};
use interstice_core::{
    CommittedState, Inputs, Runtime, Timestamp,
    log::{MemoryLog, frame::LogHeader},
};

#[path = "../../app/src/limits.rs"]
mod limits;
use limits::limits;

/// The seed is that of the firmware. The identity is another log's.
const HEADER: LogHeader = LogHeader { log_id: *b"weather on a pc.", seed: 2010 };

/// The light stays on for this long behind an alarm's last warning, in microseconds.
const QUIET: i64 = 3 * HOUR;
const HOUR: i64 = 3_600_000_000;

/// A reading and what is true behind it.
pub(crate) struct Step {
    /// The command that gives the reading to a board.
    pub(crate) command: String,
    pub(crate) time: i64,
    pub(crate) after: After,
}

/// The state behind a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) next_offset: u64,
    pub(crate) state_hash: u64,
    /// Whether the light is on.
    pub(crate) led: bool,
    /// Rows in all tables.
    pub(crate) rows: usize,
}

/// A run of all readings.
pub(crate) struct Desktop {
    /// Behind the installation.
    pub(crate) start: After,
    pub(crate) steps: Vec<Step>,
    /// Its log.
    pub(crate) commits: Vec<Box<[u8]>>,
}

impl Desktop {
    /// Runs the module with all readings.
    pub(crate) fn run(module: &Path, readings: &Path) -> Result<Self> {
        let wasm = fs::read(module).with_context(|| module.display().to_string())?;
        let csv = fs::read_to_string(readings).with_context(|| readings.display().to_string())?;
        // The log says under which limits it was made: those of the device here, too.
        let state = CommittedState::new(HEADER.seed, limits());
        let mut runtime = Runtime::new(state, MemoryLog::new(HEADER));
        runtime.install(&wasm, Inputs::at(Timestamp(0))).map_err(|error| anyhow!("{error}"))?;
        let record = runtime.reducer("weather", "record").map_err(|error| anyhow!("{error}"))?;
        let start = after(&runtime);
        let mut steps = Vec::new();
        for line in csv.lines().skip(1) {
            let (time, values) = reading(line).with_context(|| format!("`{line}`"))?;
            let mut args = time.to_le_bytes().to_vec();
            for value in &values {
                args.extend_from_slice(&value.parse::<f64>()?.to_le_bytes());
            }
            let called = runtime.call(record, &args, Inputs::at(Timestamp(time)));
            let called = called.map_err(|error| anyhow!("{error}"))?;
            ensure!(called.failures.is_empty(), "{:?}", called.failures);
            let command = format!("r {time} {}", values.join(" "));
            steps.push(Step { command, time, after: after(&runtime) });
        }
        let commits = runtime.log().frames()?.map(|(_, commit)| commit.into()).collect();
        Ok(Self { start, steps, commits })
    }

    /// What is true behind so many readings.
    pub(crate) fn after(&self, readings: usize) -> Option<After> {
        match readings.checked_sub(1) {
            None => Some(self.start),
            Some(last) => self.steps.get(last).map(|step| step.after),
        }
    }
}

fn after(runtime: &Runtime<MemoryLog>) -> After {
    let state = runtime.state();
    let alarms = state.table("weather", "alarm");
    // `since` (8 bytes), `kind` (1 byte), `until`.
    let until = |row: &[u8]| row.get(9..)?.first_chunk().map(|bytes| i64::from_le_bytes(*bytes));
    let until = alarms.and_then(|alarms| alarms.rows().filter_map(until).max());
    After {
        next_offset: state.next_offset().0,
        state_hash: state.state_hash(),
        led: until.is_some_and(|until| state.time().0 - until <= QUIET),
        rows: state.tables().iter().map(|table| table.len()).sum(),
    }
}

/// `2010-01-01T01:00:00,1016.6,4.0,3.8`
fn reading(line: &str) -> Option<(i64, Vec<&str>)> {
    let mut fields = line.split(',');
    let time = timestamp(fields.next()?)?;
    let values: Vec<&str> = fields.collect();
    (values.len() == 3).then_some((time, values))
}

/// Microseconds since 1970 of a time in 2010, which is the year of the data.
fn timestamp(text: &str) -> Option<i64> {
    const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    // Days from 1970 to 2010.
    const YEARS: i64 = 14_610;
    let rest = text.strip_prefix("2010-")?;
    let number = |range: std::ops::Range<usize>| rest.get(range)?.parse::<i64>().ok();
    let (month, day, hour) = (number(0..2)?, number(3..5)?, number(6..8)?);
    let before = DAYS.get(..usize::try_from(month - 1).ok()?)?.iter().sum::<i64>();
    (rest.get(8..) == Some(":00:00")).then_some(((YEARS + before + day - 1) * 24 + hour) * HOUR)
}
