use alloc::{string::String, vec, vec::Vec};
use core::convert::Infallible;

use embedded_io::ErrorType;
use embedded_storage::nor_flash::NorFlash as _;

use super::*;
use crate::mock_flash::MockFlash;

type Flash = MockFlash<4, 1024>;

/// Takes so many bytes of each write, and says that it took `says`.
struct Taking {
    says: fn(usize) -> usize,
}

impl ErrorType for Taking {
    type Error = Infallible;
}

impl Write for Taking {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok((self.says)(bytes.len()))
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn flash() -> Flash {
    let mut flash = Flash::new(4);
    flash.write(1024, &[7; 1000]).unwrap();
    flash
}

fn sent(flash: &[u8]) -> String {
    let mut text = String::new();
    let mut sender = Sender::new(flash.len() as u32, 1024);
    while let Some(wanted) = sender.wants() {
        let mut lines = heapless::String::<LINES_MAX>::new();
        sender.give(&flash[wanted.start as usize..wanted.end as usize], &mut lines).unwrap();
        assert!(lines.lines().count() <= 3);
        text += &lines;
    }
    text
}

/// What comes of a stream; `None`: it does not end.
fn received(text: &str) -> Result<Option<Vec<u8>>, LineError> {
    let mut receiver = None;
    for line in text.lines().filter_map(|line| Line::parse(line.as_bytes())) {
        match (line?, &mut receiver) {
            (Line::Log { size, .. }, None) => receiver = Some(Receiver::begin(size)?),
            (line, Some(receiver)) => {
                if let Some(flash) = receiver.take(line)? {
                    return Ok(Some(flash));
                }
            }
            (_, None) => {}
        }
    }
    Ok(None)
}

#[test]
fn what_takes_nothing_or_more_than_there_is_is_an_error() {
    let says: [fn(usize) -> usize; 3] = [|_| 0, |len| len + 1, |len| len.saturating_sub(1)];
    for says in says {
        let written = write(&mut flash(), &mut Taking { says });
        assert_eq!(written, Err(StreamError::Stopped));
    }
}

#[test]
fn what_a_sender_sends_is_what_is_written_and_received() {
    for len in [0, 1, 767, 768, 769, 1_536, 4_096] {
        let mut bytes = vec![0xff; len];
        assert_eq!(received(&sent(&bytes)), Ok(Some(bytes.clone())));
        bytes.iter_mut().step_by(1_000).for_each(|byte| *byte = 3);
        assert_eq!(received(&sent(&bytes)), Ok(Some(bytes)));
    }
    let mut flash = flash();
    let mut text = vec![0; 4_096];
    let mut out = &mut text[..];
    write(&mut flash, &mut out).unwrap();
    let left = out.len();
    text.truncate(4_096 - left);
    assert_eq!(text, sent(flash.image()).into_bytes());
}

#[test]
fn the_longest_lines_fit() {
    let mut longest = heapless::String::<LINES_MAX>::new();
    for line in [
        Line::Erased { offset: u32::MAX, len: u32::MAX },
        Line::Data { offset: u32::MAX, checksum: 0, base64: &"A".repeat(1_024) },
        Line::End { checksum: 0 },
    ] {
        fmt::Write::write_fmt(&mut longest, format_args!("{line}\n")).unwrap();
    }
}

#[test]
fn a_receiver_refuses_what_is_not_the_next_line() {
    fn taken(line: Line<'_>) -> Result<Option<Vec<u8>>, LineError> {
        Receiver::begin(10).unwrap().take(line)
    }
    let data = |offset, bytes: &[u8]| {
        use base64ct::Encoding as _;
        let mut text = [0; 1_100];
        let base64 = base64ct::Base64::encode(bytes, &mut text).unwrap();
        taken(Line::Data { offset, checksum: checksum(offset, bytes), base64 })
    };
    assert_eq!(data(0, &[1; 10]), Ok(None));
    assert_eq!(data(0, &[1; 11]), Err(LineError::BehindEnd));
    assert_eq!(data(0, &[1; 769]), Err(LineError::Base64));
    assert_eq!(data(1, &[1]), Err(LineError::Order { found: 1, next: 0 }));
    let base64 = "AAAA";
    assert_eq!(taken(Line::Data { offset: 0, checksum: 0, base64 }), Err(LineError::Checksum));
    assert_eq!(taken(Line::Erased { offset: 0, len: u32::MAX }), Err(LineError::BehindEnd));
    assert_eq!(taken(Line::End { checksum: 0 }), Err(LineError::Early { at: 0, size: 10 }));
    assert_eq!(taken(Line::Log { size: 1, page_size: 1 }), Err(LineError::Again));
    assert!(matches!(taken(Line::Err(&"x".repeat(100))), Err(LineError::Device(_))));
    assert_eq!(Receiver::begin(SIZE_MAX + 1).unwrap_err(), LineError::Size);
}
