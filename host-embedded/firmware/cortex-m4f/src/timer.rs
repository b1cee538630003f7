//! Time by CMSDK APB timer 0, as in "Arm Cortex-M System Design Kit Technical
//! Reference Manual", section 4.1. It counts down at 25 MHz.
//!
//! QEMU has no cycle counter (DWT) for this processor. Started with
//! `-icount shift=0` its time goes on by 1 ns with each instruction, so the
//! timer counts instructions, 40 at a time. Without that option it is a clock.

use core::ptr;

/// Timer 0 of "Application Note AN386", table 3-1 (memory map).
const TIMER0: usize = 0x4000_0000;

/// CTRL.
const CTRL: usize = 0x000;
/// CTRL: enable.
const CTRL_ENABLE: u32 = 1 << 0;
/// VALUE: the counter.
const VALUE: usize = 0x004;
/// RELOAD: what follows zero.
const RELOAD: usize = 0x008;

/// Nanoseconds per count.
const PERIOD_NS: u64 = 1_000_000_000 / 25_000_000;

/// The timer. It wraps after 171 s.
pub(crate) struct Timer(());

impl Timer {
    /// Starts it.
    ///
    /// # Safety
    ///
    /// Called once, on a board that has it.
    pub(crate) unsafe fn start() -> Self {
        let write = |register: usize, value: u32| {
            // SAFETY: a register of the timer, which nothing else uses.
            unsafe {
                ptr::with_exposed_provenance_mut::<u32>(TIMER0 + register).write_volatile(value);
            }
        };
        write(RELOAD, u32::MAX);
        write(VALUE, u32::MAX);
        write(CTRL, CTRL_ENABLE);
        Self(())
    }

    /// Instructions since the start, to the next 40.
    pub(crate) fn instructions(&self) -> u64 {
        // SAFETY: a register of the timer, which is there for as long as `self`.
        let left = unsafe { ptr::with_exposed_provenance::<u32>(TIMER0 + VALUE).read_volatile() };
        u64::from(u32::MAX - left) * PERIOD_NS
    }
}
