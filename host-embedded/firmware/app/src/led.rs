//! The light that says that there is an alarm.
//!
//! It follows committed rows of the table `alarm` and nothing else: what a
//! device does is a consequence of its log.

use interstice_core::{CommittedState, Timestamp};

/// An alarm is over after this long without a warning, in microseconds: as in
/// the module.
const QUIET: i64 = 3 * 3_600_000_000;

/// Where an alarm's row has the time of its last warning: behind `since` (8
/// bytes) and `kind` (1 byte).
const UNTIL: usize = 9;

/// Whether the light is on, and until when.
#[derive(Debug, Default)]
pub(crate) struct Led {
    until: Option<i64>,
    on: bool,
}

impl Led {
    /// The light as the alarms in the tables want it, at their time.
    pub(crate) fn of(state: &CommittedState) -> Self {
        let alarms = state.table("weather", "alarm");
        let until = alarms.and_then(|alarms| alarms.rows().filter_map(until_of).max());
        let mut led = Self { until, on: false };
        led.on = led.wanted(state.time());
        led
    }

    /// Takes in a committed row of the alarms.
    pub(crate) fn see(&mut self, alarm: &[u8]) {
        self.until = self.until.max(until_of(alarm));
    }

    /// Switches it, and says what it is now if that is something else than before.
    pub(crate) fn switch(&mut self, time: Timestamp) -> Option<bool> {
        let wanted = self.wanted(time);
        let changed = wanted != self.on;
        self.on = wanted;
        changed.then_some(wanted)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    fn wanted(&self, time: Timestamp) -> bool {
        self.until.is_some_and(|until| time.0.saturating_sub(until) <= QUIET)
    }
}

fn until_of(alarm: &[u8]) -> Option<i64> {
    let bytes = alarm.get(UNTIL..)?.first_chunk()?;
    Some(i64::from_le_bytes(*bytes))
}
