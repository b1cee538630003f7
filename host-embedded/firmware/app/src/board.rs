//! What the application needs of a board.

use core::ops::Range;

use embedded_io::{Read, Write};
use embedded_storage::nor_flash::NorFlash;

/// A part of the board's flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The log.
    Log,
    /// Two pages and more for the self-test, which overwrites them.
    Scratch,
}

/// A board: a serial line, flash, a counter, and where the stack is.
pub trait Board {
    /// Its name, as it is printed.
    const NAME: &'static str;
    /// The serial line. Its reads wait for at least one byte.
    type Uart: Read + Write;
    /// The driver of its flash.
    type Flash: NorFlash;

    /// The serial line.
    fn uart(&mut self) -> &mut Self::Uart;

    /// A handle on a part of the flash. Handles on the same part see the same
    /// bytes, and may be used one after another.
    fn flash(&mut self, part: Part) -> Self::Flash;

    /// Instructions that the processor has executed, from an arbitrary start.
    fn instructions(&mut self) -> u64;

    /// The addresses of the stack, which grows from the end to the start.
    fn stack(&self) -> Range<usize>;
}
