//! The bytes of a flash, over a serial line: lines that check themselves.
//!
//! ```text
//! log SIZE PAGE_SIZE
//! data OFFSET CHECKSUM BASE64      up to 768 bytes
//! erased OFFSET LENGTH             bytes that read 0xFF
//! end CHECKSUM                     of all SIZE bytes
//! err REASON                       instead of what is left: it cannot be read
//! ```
//!
//! Lines end with a line feed. Offsets and lengths are decimal; checksums are CRC-32
//! (ISO-HDLC), 8 hexadecimal digits: of a `data` line's bytes behind its offset as
//! four little-endian bytes, and of everything. Lines come in the order of their
//! offsets and leave nothing out, so a lost or damaged line is found where it is.
//! Lines that begin otherwise may stand between them, and are left aside.
//!
//! [`write()`] is for a flash and a line that never wait, [`Sender`] for all others;
//! [`Receiver`] is the other side, and [`Line`] what both say.
//!
//! `interstice log-pull` reads such a stream from a file or a pipe. Of a serial port it
//! asks for one, by an empty line, which ends what was in the line before, and the line
//! `log`. The [guide](crate::guide) has firmware that answers.

use core::{error::Error, fmt};

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_io::Write;
use embedded_storage::nor_flash::NorFlash;

use crate::io::{WriteError, write_all};

mod line;
mod receive;
mod sender;

pub use line::{Line, LineError};
pub use receive::{Receiver, SIZE_MAX};
pub use sender::Sender;

/// Bytes of flash in the longest `data` line.
pub const BLOCK_MAX: usize = 768;

/// Bytes of the lines that [`Sender::give`] writes at once, at most.
pub const LINES_MAX: usize = 1_120;

// A table would be a KiB of flash; the line is slower than this.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The checksum of a `data` line.
fn checksum(offset: u32, bytes: &[u8]) -> u32 {
    let mut checksum = CRC.digest();
    checksum.update(&offset.to_le_bytes());
    checksum.update(bytes);
    checksum.finalize()
}

/// Why a flash is not handed out to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError<F, W> {
    /// The flash cannot be read. The stream says so too.
    Flash {
        /// Where.
        offset: u32,
        /// What the driver says.
        error: F,
    },
    /// A line cannot be written.
    Write(W),
    /// `out` takes nothing any more.
    Stopped,
    /// The flash has 4 GiB or more.
    Size,
}

impl<F: fmt::Debug, W: fmt::Debug> fmt::Display for StreamError<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash { offset, error } => {
                write!(f, "the flash cannot be read at byte {offset}: {error:?}")
            }
            Self::Write(error) => write!(f, "a line of the log cannot be written: {error:?}"),
            Self::Stopped => f.write_str("a line of the log cannot be written"),
            Self::Size => f.write_str("the flash has 4 GiB or more"),
        }
    }
}

impl<F: fmt::Debug, W: fmt::Debug> Error for StreamError<F, W> {}

/// Writes all of `flash`, which is the region of a log, and changes nothing.
///
/// It needs no log that is open: what cannot be mounted can be looked at on a desk. Of an
/// open [`Device`](crate::Device) it takes [its flash](crate::Device::flash).
///
/// It returns at the end, which may take minutes; where something else is to be done
/// meanwhile, as to feed a watchdog, there is [`Sender`].
///
/// # Errors
///
/// When the flash cannot be read, or `out` takes nothing.
pub fn write<F: NorFlash, W: Write>(
    flash: &mut F,
    out: &mut W,
) -> Result<(), StreamError<F::Error, W::Error>> {
    let size = u32::try_from(flash.capacity()).map_err(|_| StreamError::Size)?;
    let mut sender = Sender::new(size, F::ERASE_SIZE as u32);
    let mut out = Out { out, failed: None };
    let mut block = [0; BLOCK_MAX];
    while let Some(wanted) = sender.wants() {
        let bytes = block.get_mut(..wanted.len()).unwrap_or_default();
        let read = flash.read(wanted.start, bytes);
        let given = match read {
            Ok(()) => sender.give(bytes, &mut out),
            Err(_) => sender.give_up(&mut out),
        };
        if given.is_err() {
            return Err(match out.failed {
                Some(WriteError::Io(error)) => StreamError::Write(error),
                _ => StreamError::Stopped,
            });
        }
        read.map_err(|error| StreamError::Flash { offset: wanted.start, error })?;
    }
    out.out.flush().map_err(StreamError::Write)
}

/// Takes text, and keeps why it does not.
struct Out<'a, W: Write> {
    out: &'a mut W,
    failed: Option<WriteError<W::Error>>,
}

impl<W: Write> fmt::Write for Out<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_all(self.out, text.as_bytes()).map_err(|error| {
            self.failed = Some(error);
            fmt::Error
        })
    }
}

#[cfg(test)]
mod tests;
