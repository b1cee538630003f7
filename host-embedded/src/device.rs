//! A device: the log in flash, the state that it leads to, and the runtime that
//! changes it.
//!
//! ```text
//! open: mount -> replay -> attach modules -> run what a power cut left waiting
//! call: run -> append, which is durable -> apply -> subscriptions
//! ```

use alloc::borrow::ToOwned;
use core::{error::Error, fmt};

use embedded_storage::nor_flash::NorFlash;
use interstice_core::{
    AttachError, CallError, CallErrorKind, CommittedState, Inputs, Limits,
    ReplayError as StateError, Runtime, SubscriptionFailure, Timestamp,
    snapshot::{SnapshotDecoder, SnapshotError},
};

use crate::flash_log::{
    Entry, FlashLog, FlashLogError, MountError, Mounted, RECORD_LEN, ReplayError,
};

/// Modules, their tables, and the log in flash that they are made from.
///
/// Everything goes through its [`runtime`](Self::runtime). A commit is in flash
/// when the call returns; a snapshot is written by itself when the pages run out.
pub struct Device<F: NorFlash, const RECORD: usize = RECORD_LEN> {
    runtime: Runtime<FlashLog<F, RECORD>>,
    stuck: Stuck,
}

/// Why a device runs nothing, if that is so.
type Stuck = Option<CallError<FlashLogError>>;

/// Why a device does not open.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// The log cannot be mounted or read.
    Log(MountError),
    /// The snapshot in it is bad.
    Snapshot(SnapshotError),
    /// A commit in it does not fit the state.
    Replay(StateError),
    /// A module file is refused.
    Module(AttachError),
    /// What was waiting could not be run.
    Waiting(CallError<FlashLogError>),
    /// The snapshot could not be written that the log needs before it goes on.
    Write(FlashLogError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Snapshot(error) => write!(f, "the snapshot in the log: {error}"),
            Self::Replay(error) => error.fmt(f),
            Self::Module(error) => error.fmt(f),
            Self::Waiting(error) => write!(f, "a subscription that waits: {error}"),
            Self::Write(error) => write!(f, "a snapshot could not be written: {error}"),
        }
    }
}

impl Error for OpenError {}

/// Why a log does not lead to a state.
enum Refused {
    Snapshot(SnapshotError),
    Replay(StateError),
}

impl<F: NorFlash, const RECORD: usize> Device<F, RECORD> {
    /// Mounts and replays the log, gives the modules that are installed their
    /// code, and runs what a power cut left waiting. What cannot be run leaves the
    /// device open, and [stuck](Self::stuck). Files of modules that are not installed
    /// are left aside: [`Runtime::install`] takes them.
    ///
    /// # Errors
    ///
    /// With the reason. Nothing is lost by it.
    pub fn open(
        flash: F,
        limits: &Limits,
        modules: &[&[u8]],
    ) -> Result<(Self, Mounted), OpenError> {
        Self::open_with(flash, limits, modules, |_| ())
    }

    /// As [`open`](Self::open). `prepare` is given the runtime before the modules are
    /// attached: it can say which of them to [trust](Runtime::trust).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(
        flash: F,
        limits: &Limits,
        modules: &[&[u8]],
        prepare: impl FnOnce(&mut Runtime<FlashLog<F, RECORD>>),
    ) -> Result<(Self, Mounted), OpenError> {
        let (log, mounted) = FlashLog::<F, RECORD>::mount(flash).map_err(OpenError::Log)?;
        let (mut runtime, stuck) = replayed(log, limits)?;
        prepare(&mut runtime);
        let mut device = Self { runtime, stuck };
        for wasm in modules {
            match device.runtime.attach(wasm) {
                Ok(()) | Err(AttachError::NotInstalled { .. }) => {}
                Err(error) => return Err(OpenError::Module(error)),
            }
        }
        if device.stuck.is_none() {
            let now = device.runtime.state().time();
            match device.runtime.drain(Inputs::at(now)) {
                Ok(_) => {}
                Err(error) if is_of_the_flash(&error) || device.runtime.log().has_failed() => {
                    return Err(OpenError::Waiting(error));
                }
                // It would be so at every start, and nothing could be read or pulled.
                Err(error) => device.stuck = Some(error),
            }
        }
        Ok((device, mounted))
    }

    /// Why nothing could be called or installed when the device was opened, although its
    /// flash is good:
    /// - a subscription that waits has no commit: it is [too
    ///   large](FlashLogError::TooLarge), the region is [full](FlashLogError::Full), or
    ///   the code of its module was not given. It goes on waiting, and nothing runs
    ///   before it;
    /// - after a power cut the log needs a snapshot, and the state is too large for
    ///   one: `Full` of `snapshot`. Then the newest commit may be gone at the next
    ///   start.
    ///
    /// Queries are answered, and the log can be pulled: on a desk everything goes on.
    pub fn stuck(&self) -> Option<&CallError<FlashLogError>> {
        self.stuck.as_ref()
    }

    /// The runtime: calls, queries, installations, watches.
    pub fn runtime(&mut self) -> &mut Runtime<FlashLog<F, RECORD>> {
        &mut self.runtime
    }

    /// The committed state.
    pub fn state(&self) -> &CommittedState {
        self.runtime.state()
    }

    /// The flash: to [hand it out](crate::stream). Writing to it behind the log's back
    /// breaks the log.
    pub fn flash(&mut self) -> &mut F {
        self.runtime.state_and_log().1.flash()
    }

    /// Runs the scheduled calls that are due, and what they queue.
    ///
    /// # Errors
    ///
    /// As [`Runtime::run_due`].
    pub fn run_due(
        &mut self,
        time: Timestamp,
    ) -> Result<alloc::vec::Vec<SubscriptionFailure>, CallError<FlashLogError>> {
        self.runtime.run_due(Inputs::at(time))
    }

    /// Goes on with a snapshot if one is due, by the records that `budget` bytes go
    /// into: to be called when there is nothing else to do, so that no call has to write
    /// a whole one. Returns whether there is more to do. However small the budget is, a
    /// step is one record at least, and where a page begins, an erase.
    ///
    /// # Errors
    ///
    /// When the flash fails; the device is to be opened again.
    pub fn idle(&mut self, budget: usize) -> Result<bool, FlashLogError> {
        let (state, log) = self.runtime.state_and_log();
        if !log.is_snapshotting() && !log.wants_snapshot() {
            return Ok(false);
        }
        match log.snapshot_of(state, budget) {
            // It was not begun; what still fits is taken as before.
            Err(FlashLogError::Full) if !log.has_failed() => Ok(false),
            written => written.map(|finished| !finished),
        }
    }

    /// Marks the end of the log: the next mount writes nothing, and damage to
    /// the newest commit is told from a power cut. To be called before power is
    /// turned off, or when the device comes to rest. Where a snapshot is begun, or
    /// there is no room for a mark, it writes the snapshot, which ends with one.
    ///
    /// # Errors
    ///
    /// When the flash fails. [`Full`](FlashLogError::Full) where there is no room for a
    /// mark, and the state is too large for a snapshot: everything is durable without.
    pub fn close(&mut self) -> Result<(), FlashLogError> {
        let (state, log) = self.runtime.state_and_log();
        match log.mark() {
            Err(FlashLogError::NeedsSnapshot | FlashLogError::Snapshotting) => {
                log.snapshot_of(state, usize::MAX).map(drop)
            }
            marked => marked,
        }
    }
}

/// Whether the flash has failed: another start may do better.
fn is_of_the_flash(error: &CallError<FlashLogError>) -> bool {
    use FlashLogError::{Failed, Flash};
    matches!(error.kind, CallErrorKind::Log(Flash(_) | Failed) | CallErrorKind::Poisoned)
}

/// A log and the state that it leads to; and why nothing can follow, where that is so.
// The stages of a start-up give their stack back: it is when most of it is needed.
#[inline(never)]
fn replayed<F: NorFlash, const RECORD: usize>(
    mut log: FlashLog<F, RECORD>,
    limits: &Limits,
) -> Result<(Runtime<FlashLog<F, RECORD>>, Stuck), OpenError> {
    let state = replay(&mut log, limits)?;
    let mut stuck = None;
    if log.needs_snapshot() {
        match log.snapshot_of(&state, usize::MAX) {
            Ok(_) => {}
            Err(error @ FlashLogError::Full) if !log.has_failed() => {
                let (function, kind) = ("snapshot".to_owned(), CallErrorKind::Log(error));
                stuck = Some(CallError { function, kind });
            }
            Err(error) => return Err(OpenError::Write(error)),
        }
    }
    Ok((Runtime::new(state, log), stuck))
}

/// The state that a log leads to.
///
/// # Errors
///
/// When it cannot be read, or does not lead to one.
pub fn replay<F: NorFlash, const RECORD: usize>(
    log: &mut FlashLog<F, RECORD>,
    limits: &Limits,
) -> Result<CommittedState, OpenError> {
    let mut state = CommittedState::new(log.header().seed, limits.clone());
    let mut decoder: Option<SnapshotDecoder> = None;
    let replayed = log.replay(&mut |entry| {
        match entry {
            Entry::Snapshot(piece) => decoder
                .get_or_insert_with(|| SnapshotDecoder::new(limits.clone()))
                .push(piece)
                .map_err(Refused::Snapshot)?,
            Entry::SnapshotEnd(position) => {
                if let Some(decoder) = decoder.take() {
                    state = decoder.finish_at(position).map_err(Refused::Snapshot)?;
                }
            }
            Entry::Commit(offset, commit) => {
                state.replay(offset, commit).map_err(Refused::Replay)?;
            }
        }
        Ok(())
    });
    replayed.map_err(|error| match error {
        ReplayError::Log(error) => OpenError::Log(error),
        ReplayError::Refused(Refused::Snapshot(error)) => OpenError::Snapshot(error),
        ReplayError::Refused(Refused::Replay(error)) => OpenError::Replay(error),
    })?;
    Ok(state)
}
