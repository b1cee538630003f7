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
//! `interstice log-pull` reads such a stream from a file or a pipe. Of a serial port it
//! asks for one, by an empty line, which ends what was in the line before, and the line
//! `log`. The [guide](crate::guide) has firmware that answers.

use core::{error::Error, fmt};

use base64ct::{Base64, Encoding as _};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_io::{Write, WriteFmtError};
use embedded_storage::nor_flash::NorFlash;

/// Bytes of a `data` line.
const BLOCK: usize = 768;

// A table would be a KiB of flash; the line is slower than this.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

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
    Write(WriteFmtError<W>),
}

impl<F, W> From<WriteFmtError<W>> for StreamError<F, W> {
    fn from(error: WriteFmtError<W>) -> Self {
        Self::Write(error)
    }
}

impl<F: fmt::Debug, W: fmt::Debug> fmt::Display for StreamError<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash { offset, error } => {
                write!(f, "the flash cannot be read at byte {offset}: {error:?}")
            }
            Self::Write(error) => write!(f, "a line of the log cannot be written: {error:?}"),
        }
    }
}

impl<F: fmt::Debug, W: fmt::Debug> Error for StreamError<F, W> {}

/// Writes all of `flash`, which is the region of a log, and changes nothing.
///
/// It needs no log that is open: what cannot be mounted can be looked at on a desk. Of an
/// open [`Device`](crate::Device) it takes [its flash](crate::Device::flash).
///
/// # Errors
///
/// When the flash cannot be read, or `out` takes nothing.
pub fn write<F: NorFlash, W: Write>(
    flash: &mut F,
    out: &mut W,
) -> Result<(), StreamError<F::Error, W::Error>> {
    let size = flash.capacity() as u32;
    writeln!(out, "log {size} {}", F::ERASE_SIZE)?;
    let mut all = CRC.digest();
    let mut block = [0; BLOCK];
    let mut text = [0; BLOCK / 3 * 4];
    let mut erased = 0;
    let mut offset = 0;
    while offset < size {
        let len = BLOCK.min((size - offset) as usize);
        let bytes = block.get_mut(..len).unwrap_or_default();
        if let Err(error) = flash.read(offset, bytes) {
            writeln!(out, "err flash cannot be read at {offset}")?;
            return Err(StreamError::Flash { offset, error });
        }
        all.update(bytes);
        if bytes.iter().all(|byte| *byte == 0xFF) {
            erased += len as u32;
        } else {
            write_erased(out, offset - erased, erased)?;
            erased = 0;
            let mut checksum = CRC.digest();
            checksum.update(&offset.to_le_bytes());
            checksum.update(bytes);
            let base64 = Base64::encode(bytes, &mut text).unwrap_or_default();
            writeln!(out, "data {offset} {:08x} {base64}", checksum.finalize())?;
        }
        offset += len as u32;
    }
    write_erased(out, size - erased, erased)?;
    writeln!(out, "end {:08x}", all.finalize())?;
    out.flush().map_err(|error| StreamError::Write(WriteFmtError::Other(error)))
}

fn write_erased<W: Write>(
    out: &mut W,
    offset: u32,
    len: u32,
) -> Result<(), WriteFmtError<W::Error>> {
    if len > 0 { writeln!(out, "erased {offset} {len}") } else { Ok(()) }
}
