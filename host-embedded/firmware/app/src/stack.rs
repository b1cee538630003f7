//! The stack, and the most that was ever used of it.
//!
//! What lies below the stack pointer at start-up is painted; the lowest word
//! that has lost its paint is where the stack once reached.

use core::{hint::black_box, ops::Range, ptr};

const PAINT: u32 = 0xC5C5_A3A3;

/// Bytes below the frame of [`paint`] that it leaves alone: its own calls and
/// registers that an interrupt saves.
const MARGIN: usize = 256;

/// Paints the unused part of the stack.
///
/// # Safety
///
/// The addresses are the stack that the caller runs on, word-aligned.
pub unsafe fn paint(stack: Range<usize>) {
    let frame = 0_u32;
    let here = ptr::from_ref(black_box(&frame)).addr();
    for address in (stack.start..here.saturating_sub(MARGIN)).step_by(4) {
        // SAFETY: below the frames in use, inside the stack.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(PAINT) }
    }
}

/// Bytes of the stack that were ever used, if it was painted.
///
/// # Safety
///
/// The addresses are the stack that the caller runs on, word-aligned.
pub unsafe fn peak(stack: Range<usize>) -> usize {
    let mut words = stack.clone().step_by(4);
    let used = words.find(|address| {
        // SAFETY: inside the stack, which is readable memory.
        unsafe { ptr::with_exposed_provenance::<u32>(*address).read_volatile() != PAINT }
    });
    used.map_or(0, |lowest| stack.end - lowest)
}
