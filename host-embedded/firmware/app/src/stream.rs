//! The raw bytes of the log's flash, over the serial line.
//!
//! ```text
//! log SIZE PAGE_SIZE
//! data OFFSET CHECKSUM BASE64      up to 768 bytes
//! erased OFFSET LENGTH             bytes that read 0xFF
//! end CHECKSUM                     of all SIZE bytes
//! ```
//!
//! Offsets and lengths are decimal; checksums are CRC-32 (ISO-HDLC), 8
//! hexadecimal digits: of a `data` line's bytes behind its offset as four
//! little-endian bytes, and of everything. Lines come in the order of their
//! offsets and leave nothing out, so a lost or damaged line is found where it
//! is.

use base64ct::{Base64, Encoding};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_io::Write;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

use crate::board::{Board, Part};

/// Bytes of a `data` line.
const BLOCK: usize = 768;

static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Writes everything.
pub(crate) fn log<B: Board>(board: &mut B) {
    let mut flash = board.flash(Part::Log);
    let uart = board.uart();
    let size = flash.capacity() as u32;
    let _ = writeln!(uart, "log {size} {}", B::Flash::ERASE_SIZE);
    let mut all = CRC.digest();
    let mut block = [0; BLOCK];
    let mut text = [0; BLOCK / 3 * 4];
    let mut erased = 0;
    let mut offset = 0;
    while offset < size {
        let len = BLOCK.min((size - offset) as usize);
        let bytes = &mut block[..len];
        if flash.read(offset, bytes).is_err() {
            let _ = writeln!(uart, "err flash cannot be read at {offset}");
            return;
        }
        all.update(bytes);
        if bytes.iter().all(|byte| *byte == 0xFF) {
            erased += len as u32;
        } else {
            write_erased(uart, offset - erased, erased);
            erased = 0;
            let mut checksum = CRC.digest();
            checksum.update(&offset.to_le_bytes());
            checksum.update(bytes);
            let base64 = Base64::encode(bytes, &mut text).unwrap_or_default();
            let _ = writeln!(uart, "data {offset} {:08x} {base64}", checksum.finalize());
        }
        offset += len as u32;
    }
    write_erased(uart, size - erased, erased);
    let _ = writeln!(uart, "end {:08x}", all.finalize());
}

fn write_erased(uart: &mut impl Write, offset: u32, len: u32) {
    if len > 0 {
        let _ = writeln!(uart, "erased {offset} {len}");
    }
}
