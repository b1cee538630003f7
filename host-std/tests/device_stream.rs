//! What a device writes, a desk reads.

use embedded_storage::nor_flash::NorFlash as _;
use interstice::device_log::{StreamError, decode_stream};
use interstice_embedded::{
    mock_flash::MockFlash,
    stream::{self, StreamError as WriteError},
};

/// A line that takes so many bytes.
struct Line {
    text: Vec<u8>,
    most: usize,
}

impl embedded_io::ErrorType for Line {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        let len = bytes.len().min(self.most - self.text.len());
        self.text.extend_from_slice(&bytes[..len]);
        if len > 0 { Ok(len) } else { Err(embedded_io::ErrorKind::BrokenPipe) }
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn line() -> Line {
    Line { text: Vec::new(), most: usize::MAX }
}

/// A flash with something here and there, at the ends of lines too.
fn flash<const W: usize, const P: usize>(pages: usize) -> MockFlash<W, P> {
    let mut flash = MockFlash::new(pages);
    for at in [0, 768, 769, 4_000, pages * P - 1] {
        let at = (at.min(pages * P - 1) / W * W) as u32;
        // Some of them in one word.
        let _ = flash.write(at, &vec![at as u8; W]);
    }
    flash
}

#[test]
fn a_flash_of_any_shape_comes_out_as_it_is() {
    fn check<const W: usize, const P: usize>(pages: usize) {
        let (mut flash, mut line) = (flash::<W, P>(pages), line());
        let image = flash.image().to_vec();
        stream::write(&mut flash, &mut line).unwrap();
        let read = decode_stream(&line.text).unwrap().expect("a stream");
        assert_eq!(read.flash, image);
        assert!(line.text.len() < 8_000, "what is erased takes a line");
    }
    check::<1, 256>(3);
    check::<4, 4_096>(8);
    check::<32, 2_048>(5);
}

#[test]
fn a_blank_flash_is_one_line() {
    let (mut flash, mut line) = (MockFlash::<4, 4_096>::new(8), line());
    stream::write(&mut flash, &mut line).unwrap();
    let text = String::from_utf8(line.text).unwrap();
    assert!(text.starts_with("log 32768 4096\nerased 0 32768\nend "), "{text}");
}

#[test]
fn a_flash_that_cannot_be_read_says_so_on_both_sides() {
    let (mut flash, mut line) = (flash::<4, 4_096>(2), line());
    flash.fail_at(Some(1));
    let written = stream::write(&mut flash, &mut line);
    assert!(matches!(written, Err(WriteError::Flash { offset: 768, .. })), "{written:?}");
    let Err(StreamError::Line { number: 3, why }) = decode_stream(&line.text) else {
        panic!("{}", String::from_utf8_lossy(&line.text));
    };
    assert_eq!(why.to_string(), "the device says: flash cannot be read at 768");
}

#[test]
fn a_line_that_breaks_is_an_error() {
    let whole = {
        let mut line = line();
        stream::write(&mut flash::<4, 4_096>(2), &mut line).unwrap();
        line.text.len()
    };
    for most in (0..whole).step_by(7) {
        let mut line = Line { text: Vec::new(), most };
        let written = stream::write(&mut flash::<4, 4_096>(2), &mut line);
        assert!(matches!(written, Err(WriteError::Write(_))), "after {most}: {written:?}");
    }
}
