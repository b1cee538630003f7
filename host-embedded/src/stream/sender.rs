//! Bytes of a flash -> lines.

use core::{fmt, ops::Range};

use base64ct::{Base64, Encoding as _};
use crc::{Digest, NoTable};

use super::{BLOCK_MAX, CRC, Line, checksum};

/// Makes a stream of what is read of a flash, and neither reads nor sends: so the
/// flash may be one that is waited for, and between two lines a watchdog is fed.
///
/// ```
/// use interstice_embedded::stream::{LINES_MAX, Sender};
///
/// # fn main() -> Result<(), core::fmt::Error> {
/// let flash = [7; 2000];
/// # let mut sent = String::new();
/// # let mut send = |lines: &str| sent += lines;
/// let mut sender = Sender::new(2000, 1000);
/// while let Some(range) = sender.wants() {
///     let bytes = &flash[range.start as usize..range.end as usize]; // or read(..).await
///     let mut lines = heapless::String::<LINES_MAX>::new();
///     sender.give(bytes, &mut lines)?;
///     send(&lines); // or write_all(..).await, and feed the watchdog
/// }
/// # assert!(sent.starts_with("log 2000 1000\ndata 0 "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sender {
    size: u32,
    page_size: u32,
    /// Where it is.
    at: u32,
    /// Bytes before it that read 0xFF, and no line says so yet.
    erased: u32,
    all: Digest<'static, u32, NoTable>,
    has_ended: bool,
}

impl Sender {
    /// For a flash of `size` bytes in pages of `page_size`.
    pub fn new(size: u32, page_size: u32) -> Self {
        Self { size, page_size, at: 0, erased: 0, all: CRC.digest(), has_ended: false }
    }

    /// What of the flash is to be read next, up to [`BLOCK_MAX`] bytes; `None`: that was
    /// all.
    pub fn wants(&self) -> Option<Range<u32>> {
        let end = self.size.min(self.at.saturating_add(BLOCK_MAX as u32));
        (!self.has_ended).then_some(self.at..end)
    }

    /// Takes the bytes that it [wants](Self::wants), and writes none to three lines, the
    /// `log` line first and the `end` line last: at most [`LINES_MAX`](super::LINES_MAX)
    /// bytes.
    ///
    /// # Errors
    ///
    /// When `out` does not take them. The transfer is over then.
    pub fn give(&mut self, bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
        self.give_to(bytes, out)
    }

    fn give_to(&mut self, bytes: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
        let Some(wanted) = self.wants() else { return Ok(()) };
        let bytes = bytes.get(..wanted.len()).unwrap_or(bytes);
        self.begin(out)?;
        self.all.update(bytes);
        if bytes.iter().all(|byte| *byte == 0xff) {
            self.erased += bytes.len() as u32;
        } else {
            self.write_erased(out)?;
            let mut text = [0; BLOCK_MAX / 3 * 4];
            let base64 = Base64::encode(bytes, &mut text).unwrap_or_default();
            let offset = self.at;
            let checksum = checksum(offset, bytes);
            put(out, &Line::Data { offset, checksum, base64 })?;
        }
        self.at += bytes.len() as u32;
        if self.at >= self.size {
            self.write_erased(out)?;
            self.has_ended = true;
            put(out, &Line::End { checksum: self.all.clone().finalize() })?;
        }
        Ok(())
    }

    /// Says that the flash cannot be read where it was to be, and ends the stream.
    ///
    /// # Errors
    ///
    /// When `out` does not take it.
    pub fn give_up(&mut self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.begin(out)?;
        self.has_ended = true;
        writeln!(out, "{}flash cannot be read at {}", Line::Err(""), self.at)
    }

    fn begin(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let Self { size, page_size, at, .. } = *self;
        if at == 0 { put(out, &Line::Log { size, page_size }) } else { Ok(()) }
    }

    fn write_erased(&mut self, out: &mut dyn fmt::Write) -> fmt::Result {
        let len = core::mem::take(&mut self.erased);
        let offset = self.at - len;
        if len > 0 { put(out, &Line::Erased { offset, len }) } else { Ok(()) }
    }
}

// Once for all kinds: a device has no room for five of it.
#[inline(never)]
fn put(out: &mut dyn fmt::Write, line: &Line<'_>) -> fmt::Result {
    writeln!(out, "{line}")
}
