//! What a running call can touch.

use alloc::{boxed::Box, string::String, vec::Vec};

use interstice_abi::{filter::Scan, key::Key};
use wasmi::{Engine, Memory};

use crate::{
    error::{Failure, Limit, Rule},
    ids::{FunctionRef, TableId, Timestamp},
    module::{self, instance::Slot, trust::Trusted},
    random::Random,
    state::{CommittedState, Trigger},
    transaction::Transaction,
};

/// A line that a guest wrote to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLine {
    /// The module.
    pub module: String,
    /// The reducer or query.
    pub function: String,
    /// 0 error, 1 warn, 2 info, 3 debug, 4 trace.
    pub level: u8,
    /// The text.
    pub text: String,
}

/// Takes the lines that guests write.
pub type GuestLog = Box<dyn FnMut(GuestLine) + Send>;

/// Everything that a call can touch: the state, its transaction, and the
/// modules it may call.
pub(crate) struct World {
    pub(crate) state: CommittedState,
    pub(crate) transaction: Transaction,
    pub(crate) engine: Engine,
    pub(crate) trusted: Trusted,
    /// Code by module number; `None` where it was not given.
    pub(crate) slots: Vec<Option<Slot>>,
    /// The running functions, outermost first, and behind them frames whose
    /// buffers wait to be used again.
    frames: Vec<Frame>,
    depth: usize,
    pub(crate) scans: Vec<Option<OpenScan>>,
    pub(crate) time: Timestamp,
    pub(crate) random: Random,
    /// What is left, while no guest runs.
    pub(crate) fuel: u64,
    /// Why a host call stopped the guest.
    pub(crate) stopped: Option<Failure>,
    /// The innermost function that failed.
    pub(crate) failed_at: Option<FunctionRef>,
    pub(crate) guest_log: Option<GuestLog>,
}

/// Where a call's arguments come from, in row layout.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Args<'a> {
    /// A call from outside gives them.
    Given(&'a [u8]),
    /// What waits has them.
    Waiting(Trigger),
}

impl Args<'_> {
    /// What a call with these arguments answers to.
    pub(crate) fn trigger(&self) -> Trigger {
        match self {
            Self::Given(_) => Trigger::Call,
            Self::Waiting(trigger) => *trigger,
        }
    }
}

/// One running function.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) function: FunctionRef,
    pub(crate) memory: Option<Memory>,
    /// In row layout, checked.
    pub(crate) args: Vec<u8>,
    pub(crate) outcome: FrameOutcome,
    /// Its result or error so far.
    pub(crate) result: Vec<u8>,
    /// Whether it has called another module, and what that returned.
    pub(crate) called: Option<FrameOutcome>,
    pub(crate) callee_result: Vec<u8>,
}

/// What a function has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameOutcome {
    /// Nothing yet.
    Unset,
    /// A result.
    Ok,
    /// A typed error.
    Err,
}

/// A scan that a guest has open.
#[derive(Debug)]
pub(crate) struct OpenScan {
    pub(crate) table: TableId,
    pub(crate) scan: Scan,
    /// The key of the last row the guest was given.
    pub(crate) last: Option<Key>,
    pub(crate) left: u32,
    /// The frame that opened it.
    depth: usize,
}

impl World {
    pub(crate) fn new(state: CommittedState) -> Self {
        Self {
            engine: module::engine(state.limits(), module::TRANSLATION),
            trusted: Trusted::default(),
            transaction: Transaction::default(),
            slots: Vec::new(),
            frames: Vec::new(),
            depth: 0,
            scans: Vec::new(),
            time: Timestamp(0),
            random: Random::new(0),
            fuel: 0,
            stopped: None,
            failed_at: None,
            guest_log: None,
            state,
        }
    }

    /// Makes ready for a call from outside.
    pub(crate) fn begin(&mut self, time: Timestamp, seed: u64) {
        self.transaction.clear();
        self.scans.clear();
        self.depth = 0;
        self.time = time;
        self.random = Random::new(seed);
        self.fuel = self.state.limits().fuel_per_call;
        self.stopped = None;
        self.failed_at = None;
    }

    /// Begins a function. Its arguments go into [`Frame::args`].
    pub(crate) fn push_frame(&mut self, function: FunctionRef) -> &mut Frame {
        if self.depth == self.frames.len() {
            self.frames.push(Frame::new(function));
        }
        self.depth += 1;
        let frame = &mut self.frames[self.depth - 1];
        frame.reset(function);
        frame
    }

    /// Begins the outermost function.
    pub(crate) fn push_call(&mut self, target: FunctionRef, args: Args<'_>) -> Result<(), Failure> {
        self.push_frame(target);
        let function = self.state.function(target).ok_or_else(|| Failure::CodeMissing)?;
        let Some(frame) = self.frames.first_mut() else { return Ok(()) };
        match args {
            Args::Given(args) => {
                let (bytes, limit) = (args.len(), self.state.limits().value_bytes);
                if bytes > limit {
                    return Err(Failure::Limit(Limit::Value { bytes, limit }));
                }
                frame.args.extend_from_slice(args);
                function.args().check(&mut frame.args).map_err(Failure::Arguments)
            }
            Args::Waiting(trigger) => {
                let args = self.state.next_target(trigger).map_or(&[][..], |(_, args)| args);
                frame.args.extend_from_slice(args);
                Ok(())
            }
        }
    }

    /// Ends the innermost function, and closes its scans.
    pub(crate) fn pop_frame(&mut self) {
        let depth = self.depth;
        for scan in &mut self.scans {
            if scan.as_ref().is_some_and(|scan| scan.depth == depth) {
                *scan = None;
            }
        }
        self.depth = depth.saturating_sub(1);
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// The function that runs.
    pub(crate) fn frame(&self) -> Option<&Frame> {
        self.frames.get(self.depth.checked_sub(1)?)
    }

    /// The function that runs.
    pub(crate) fn frame_mut(&mut self) -> Option<&mut Frame> {
        self.frames.get_mut(self.depth.checked_sub(1)?)
    }

    /// What the running function has returned, once it has ended: its schema
    /// says what it must have.
    pub(crate) fn check_outcome(&self) -> Result<FrameOutcome, Failure> {
        let frame = self.frame().ok_or_else(|| Failure::CodeMissing)?;
        let function = self.state.function(frame.function).ok_or_else(|| Failure::CodeMissing)?;
        match frame.outcome {
            // A `()` is not set.
            FrameOutcome::Unset if function.returns().is_some() => {
                Err(Failure::Rule(Rule::ResultMismatch))
            }
            FrameOutcome::Unset => Ok(FrameOutcome::Ok),
            outcome => Ok(outcome),
        }
    }

    /// The frame that a function has left, and the one of its caller.
    pub(crate) fn frame_and_caller(&mut self) -> Option<(&mut Frame, &mut Frame)> {
        let (callers, rest) = self.frames.split_at_mut(self.depth.checked_sub(1)?);
        Some((rest.first_mut()?, callers.last_mut()?))
    }

    /// Gives the running function its memory. Returns the length of its arguments.
    pub(crate) fn enter(&mut self, memory: Memory) -> i32 {
        let Some(frame) = self.frame_mut() else { return 0 };
        frame.memory = Some(memory);
        frame.args.len() as i32
    }

    /// Opens a scan for the running function. Returns its handle, unless too
    /// many are open.
    pub(crate) fn open_scan(&mut self, table: TableId, scan: Scan) -> Option<usize> {
        let left = scan.limit().unwrap_or(u32::MAX);
        let open = Some(OpenScan { table, scan, last: None, left, depth: self.depth });
        if let Some(handle) = self.scans.iter().position(Option::is_none) {
            self.scans[handle] = open;
            return Some(handle);
        }
        if self.scans.len() >= self.state.limits().open_scans {
            return None;
        }
        self.scans.push(open);
        Some(self.scans.len() - 1)
    }

    /// The open scan `handle`, if the running function opened it.
    pub(crate) fn scan_slot(&mut self, handle: u32) -> Option<&mut Option<OpenScan>> {
        let depth = self.depth;
        let slot = self.scans.get_mut(handle as usize)?;
        slot.as_ref().is_some_and(|scan| scan.depth == depth).then_some(slot)
    }
}

impl Frame {
    fn new(function: FunctionRef) -> Self {
        Self {
            function,
            memory: None,
            args: Vec::new(),
            outcome: FrameOutcome::Unset,
            result: Vec::new(),
            called: None,
            callee_result: Vec::new(),
        }
    }

    fn reset(&mut self, function: FunctionRef) {
        self.function = function;
        self.memory = None;
        self.args.clear();
        self.outcome = FrameOutcome::Unset;
        self.result.clear();
        self.called = None;
        self.callee_result.clear();
    }
}
