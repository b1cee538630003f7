//! The module `weather`, its tables and its log. The only file that knows
//! which log it is.

use alloc::{format, string::String, vec::Vec};
use core::marker::PhantomData;

use embedded_storage::nor_flash::NorFlash;
use interstice_core::{
    CommittedChange, CommittedState, FunctionRef, Inputs, Limits, Runtime, Timestamp,
    log::{MemoryLog, frame::LogHeader},
};

use crate::WEATHER;

/// The identity of the station's log, which decides its random numbers.
const HEADER: LogHeader = LogHeader { log_id: *b"weather station\0", seed: 2010 };

/// The module, ready to take readings.
pub struct Station<F> {
    runtime: Runtime<MemoryLog>,
    record: FunctionRef,
    flash: PhantomData<F>,
}

/// What a device can afford. Replay does not depend on it.
fn limits() -> Limits {
    Limits {
        module_bytes: 64 << 10,
        modules: 1,
        guest_memory_bytes: 64 << 10,
        guest_table_elements: 256,
        guest_recursion: 32,
        guest_stack_bytes: 4 << 10,
        ..Limits::default()
    }
}

impl<F: NorFlash> Station<F> {
    /// Begins a new log.
    pub fn format(flash: F) -> Result<Self, String> {
        Self::open(flash)
    }

    /// Mounts the log, and makes the tables again from it.
    pub fn open(_flash: F) -> Result<Self, String> {
        let state = CommittedState::new(HEADER.seed, limits());
        let mut runtime = Runtime::new(state, MemoryLog::new(HEADER));
        let installed = runtime.install(WEATHER, Inputs::at(Timestamp(0)));
        installed.map_err(|error| format!("{error}"))?;
        let record = runtime.reducer("weather", "record").map_err(|error| format!("{error}"))?;
        if let Some(alarms) = runtime.state().table("weather", "alarm").map(|table| table.id()) {
            runtime.watch(alarms);
        }
        Ok(Self { runtime, record, flash: PhantomData })
    }

    /// Commits a reading and what it leads to. They survive a power cut when
    /// this returns.
    pub fn record(&mut self, args: &[u8], time: Timestamp) -> Result<(), String> {
        let called = self.runtime.call(self.record, args, Inputs::at(time));
        called.map(drop).map_err(|error| format!("{error}"))
    }

    /// The changes of alarms since they were last taken.
    pub fn take_alarms(&mut self) -> Vec<CommittedChange> {
        self.runtime.take_changes()
    }

    /// The tables.
    pub fn state(&self) -> &CommittedState {
        self.runtime.state()
    }
}
