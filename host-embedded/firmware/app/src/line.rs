//! Lines from the serial line.

use embedded_io::Read;
use heapless::Vec;

use crate::command::CommandError;

/// Bytes of the longest line.
pub(crate) const LINE_MAX: usize = 96;

/// Collects bytes into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    line: Vec<u8, LINE_MAX>,
}

impl Lines {
    /// Waits for a line, and gives it to `see` without its end. A line that is
    /// too long, or a byte that is lost, costs that line only.
    pub(crate) fn next<T>(
        &mut self,
        uart: &mut impl Read,
        see: impl FnOnce(Result<&[u8], CommandError>) -> T,
    ) -> T {
        self.line.clear();
        let mut whole = true;
        loop {
            let mut byte = [0];
            match uart.read(&mut byte) {
                Ok(1) if byte == *b"\n" => break,
                Ok(1) => whole &= self.line.extend_from_slice(&byte).is_ok(),
                Ok(_) => {}
                Err(_) => whole = false,
            }
        }
        see(if whole { Ok(&self.line) } else { Err(CommandError::Line) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_costs_that_line_only() {
        let mut bytes = [b'x'; 2 * LINE_MAX];
        bytes[LINE_MAX + 1] = b'\n';
        bytes[LINE_MAX + 4] = b'\n';
        let (mut uart, mut lines) = (&bytes[..], Lines::default());
        lines.next(&mut uart, |line| assert_eq!(line, Err(CommandError::Line)));
        lines.next(&mut uart, |line| assert_eq!(line, Ok(&b"xx"[..])));
    }
}
