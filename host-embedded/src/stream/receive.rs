//! Lines -> bytes of a flash.

use alloc::vec::Vec;

use base64ct::{Base64, Encoding as _};

use super::{BLOCK_MAX, CRC, Line, LineError, checksum};
use crate::memory::{extend, reserve};

/// Bytes of the largest flash that a [`Receiver`] takes: 256 MiB.
pub const SIZE_MAX: u32 = 256 << 20;

/// Takes a stream line by line, from behind the `log` line on.
///
/// ```
/// use interstice_embedded::stream::{Line, Receiver};
///
/// # fn main() -> Result<(), interstice_embedded::stream::LineError> {
/// let text = b"log 3 1\nled on\ndata 0 9d6cdf7e AAAA\nend ff41d912\n";
/// let (mut receiver, mut flash) = (None, None);
/// for line in text.split(|byte| *byte == b'\n').filter_map(Line::parse) {
///     match (line?, &mut receiver) {
///         (Line::Log { size, .. }, _) => receiver = Some(Receiver::begin(size)?),
///         (line, Some(receiver)) => flash = receiver.take(line)?,
///         (_, None) => {} // of a transfer before
///     }
/// }
/// assert_eq!(flash, Some(vec![0; 3]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Receiver {
    size: u32,
    flash: Vec<u8>,
}

impl Receiver {
    /// For a flash of so many bytes, as the `log` line says.
    ///
    /// # Errors
    ///
    /// When it has more than [`SIZE_MAX`].
    pub fn begin(size: u32) -> Result<Self, LineError> {
        match size <= SIZE_MAX {
            true => Ok(Self { size, flash: Vec::new() }),
            false => Err(LineError::Size),
        }
    }

    /// Takes the next line. The flash, when that was the last one and all is good.
    ///
    /// # Errors
    ///
    /// What is wrong. The transfer has failed then.
    pub fn take(&mut self, line: Line<'_>) -> Result<Option<Vec<u8>>, LineError> {
        match line {
            Line::Log { .. } => return Err(LineError::Again),
            Line::Data { offset, checksum, base64 } => self.data(offset, checksum, base64)?,
            Line::Erased { offset, len } => {
                self.check_order(offset)?;
                self.check_end(len as usize)?;
                reserve(&mut self.flash, len as usize).ok_or(LineError::Memory)?;
                self.flash.resize(self.flash.len() + len as usize, 0xff);
            }
            Line::End { checksum } => {
                let (at, size) = self.received();
                if at < size {
                    return Err(LineError::Early { at, size });
                }
                let mut all = CRC.digest();
                all.update(&self.flash);
                let is_good = all.finalize() == checksum;
                let flash = core::mem::take(&mut self.flash);
                return if is_good { Ok(Some(flash)) } else { Err(LineError::Whole) };
            }
            Line::Err(why) => {
                let mut first = heapless::String::new();
                for letter in why.chars() {
                    // The rest has no room.
                    let Ok(()) = first.push(letter) else { break };
                }
                return Err(LineError::Device(first));
            }
        }
        Ok(None)
    }

    /// Bytes that came so far, and of how many.
    pub fn received(&self) -> (u32, u32) {
        (self.flash.len() as u32, self.size)
    }

    fn data(&mut self, offset: u32, expected: u32, base64: &str) -> Result<(), LineError> {
        self.check_order(offset)?;
        let mut block = [0; BLOCK_MAX];
        let bytes = Base64::decode(base64, &mut block).map_err(|_| LineError::Base64)?;
        if checksum(offset, bytes) != expected {
            return Err(LineError::Checksum);
        }
        self.check_end(bytes.len())?;
        extend(&mut self.flash, bytes).ok_or(LineError::Memory)
    }

    fn check_order(&self, found: u32) -> Result<(), LineError> {
        let (next, _) = self.received();
        if found == next { Ok(()) } else { Err(LineError::Order { found, next }) }
    }

    fn check_end(&self, len: usize) -> Result<(), LineError> {
        let (at, size) = self.received();
        let left = size.saturating_sub(at) as usize;
        if len <= left { Ok(()) } else { Err(LineError::BehindEnd) }
    }
}
