//! The module `weather`, its tables and its log in flash.

use alloc::vec::Vec;
use core::fmt;

use embedded_storage::nor_flash::NorFlash;
use interstice_core::{
    CallError, CallErrorKind, CommittedChange, CommittedState, FunctionRef, Inputs, InstallError,
    Timestamp,
    log::frame::{LogHeader, crc32c},
};
use interstice_embedded::{
    Device, FlashLog,
    device::OpenError,
    flash_log::{FlashLogError, HEADER_LEN, MountError},
};

use crate::{WEATHER, WEATHER_HASH, limits::limits};

/// The identity of a new log, and the seed of its random numbers. Every log needs an
/// identity of its own, so what was in the flash before, the old log's identity among
/// it, goes into that of the next one. A board with a serial number would add it.
fn new_header<F: NorFlash>(flash: &mut F) -> LogHeader {
    let mut before = 0;
    for page in (0..flash.capacity()).step_by(F::ERASE_SIZE) {
        let mut header = [0; HEADER_LEN];
        // A page that cannot be read is no reason to have no log.
        let _ = flash.read(page as u32, &mut header);
        before = crc32c(before, &header);
    }
    let mut log_id = *b"weather log ....";
    log_id[12..].copy_from_slice(&before.to_le_bytes());
    LogHeader { log_id, seed: 2010 }
}

/// Bytes of a snapshot that are written between two readings.
const IDLE_STEP: usize = 256;

/// The module, ready to take readings.
pub struct Station<F: NorFlash> {
    device: Device<F>,
    record: FunctionRef,
}

/// Why there is no station.
#[derive(Debug)]
#[non_exhaustive]
pub enum StationError {
    /// The log cannot be opened.
    Open(OpenError),
    /// A new log cannot be made.
    Format(MountError),
    /// The module cannot be installed.
    Install(InstallError<FlashLogError>),
    /// The module that is installed takes no readings.
    Module(CallError<FlashLogError>),
}

impl fmt::Display for StationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Format(error) => write!(f, "a new log cannot be made: {error}"),
            Self::Install(error) => write!(f, "the module cannot be installed: {error}"),
            Self::Module(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StationError {}

impl<F: NorFlash> Station<F> {
    /// Begins a new log. What was in the flash is erased.
    ///
    /// # Errors
    ///
    /// When the flash fails, or the log cannot be opened after all.
    pub fn format(mut flash: F) -> Result<Self, StationError> {
        let header = new_header(&mut flash);
        FlashLog::<_>::format(&mut flash, header).map(drop).map_err(StationError::Format)?;
        Self::open_log(flash)
    }

    /// Mounts the log, makes the tables again from it, and finishes what a
    /// power cut has interrupted. A blank flash gets a new log, and one that another
    /// version of the firmware wrote the module of this one.
    ///
    /// # Errors
    ///
    /// When there is something else in the flash than a good log.
    pub fn open(mut flash: impl FnMut() -> F) -> Result<Self, StationError> {
        match Self::open_log(flash()) {
            Err(StationError::Open(OpenError::Log(MountError::NoLog { not_blank: None }))) => {
                defmt::info!("the flash is blank");
                Self::format(flash())
            }
            other => other,
        }
    }

    fn open_log(flash: F) -> Result<Self, StationError> {
        let opened = Device::open_with(flash, &limits(), &[WEATHER], |runtime| {
            // SAFETY: it is the hash of the file that the build script has validated.
            unsafe { runtime.trust(*WEATHER_HASH) };
        });
        let (mut device, mounted) = opened.map_err(StationError::Open)?;
        defmt::info!("mounted: {}", mounted);
        if let Some(error) = device.stuck() {
            defmt::warn!("stuck: {}", defmt::Display2Format(error));
        }
        let module = device.state().module("weather");
        let is_this = module.is_some_and(|module| module.content_hash() == WEATHER_HASH);
        if !is_this && device.stuck().is_none() {
            let installed = device.runtime().install(WEATHER, Inputs::at(Timestamp(0)));
            installed.map(drop).map_err(StationError::Install)?;
        }
        let record = device.runtime().reducer("weather", "record").map_err(StationError::Module)?;
        if let Some(alarms) = device.state().table("weather", "alarm").map(|table| table.id()) {
            device.runtime().watch(alarms);
        }
        Ok(Self { device, record })
    }

    /// Commits a reading and what it leads to. They survive a power cut when
    /// this returns. Where a part of what it leads to cannot be run now, the reading is
    /// committed all the same, and the rest waits.
    ///
    /// # Errors
    ///
    /// When the module refuses the reading, or the flash fails.
    pub fn record(&mut self, args: &[u8], time: Timestamp) -> Result<(), CallError<FlashLogError>> {
        match self.device.runtime().call(self.record, args, Inputs::at(time)) {
            Ok(called) => {
                for failure in &called.failures {
                    let (offset, reason) = (failure.offset.0, failure.reason.as_str());
                    defmt::warn!("commit {=u64} failed: {=str}", offset, reason);
                }
                Ok(())
            }
            Err(CallError { kind: CallErrorKind::Behind { cause, .. }, .. }) => {
                defmt::warn!("waits: {}", defmt::Display2Format(&*cause));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Goes on with a snapshot that is due, by a small step, so that no reading waits for a
    /// whole one.
    ///
    /// # Errors
    ///
    /// When the flash fails.
    pub fn idle(&mut self) -> Result<bool, FlashLogError> {
        self.device.idle(IDLE_STEP)
    }

    /// Marks the end of the log, before power is turned off.
    ///
    /// # Errors
    ///
    /// When the flash fails.
    pub fn rest(&mut self) -> Result<(), FlashLogError> {
        self.device.close()
    }

    /// Whether the flash has failed, so that the log takes nothing before it is mounted
    /// again.
    pub fn has_failed(&mut self) -> bool {
        self.device.runtime().log_mut().has_failed()
    }

    /// The changes of alarms since they were last taken.
    pub fn take_alarms(&mut self) -> Vec<CommittedChange> {
        self.device.runtime().take_changes()
    }

    /// The tables.
    pub fn state(&self) -> &CommittedState {
        self.device.state()
    }
}
