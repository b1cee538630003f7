//! Panics: message and place go to the host, which ends the call.

use core::{
    fmt::{self, Write},
    panic::PanicInfo,
};

use crate::host;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut report = Report { bytes: [0; CAPACITY], len: 0 };
    // A report does not fail, and there would be nobody to tell.
    let _ = write!(report, "{}", info.message());
    if let Some(place) = info.location() {
        report.push(b", at ");
        report.push(place.file().as_bytes());
        for number in [place.line(), place.column()] {
            report.push(b":");
            report.push_number(number);
        }
    }
    host::panic(report.bytes.get(..report.len).unwrap_or_default())
}

const CAPACITY: usize = 512;

/// Text that is cut off when it gets too long. On the stack: the panic may
/// have been about memory.
struct Report {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Report {
    fn push(&mut self, text: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = room.len().min(text.len());
        room[..len].copy_from_slice(&text[..len]);
        self.len = self.len.wrapping_add(len);
    }

    fn push_number(&mut self, number: u32) {
        if number >= 10 {
            self.push_number(number / 10);
        }
        self.push(&[b'0' + (number % 10) as u8]);
    }
}

impl Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }

    // Used for single characters, seldom and mostly ASCII: not worth the code
    // of encoding others.
    fn write_char(&mut self, char: char) -> fmt::Result {
        self.push(&[if char.is_ascii() { char as u8 } else { b'?' }]);
        Ok(())
    }
}
