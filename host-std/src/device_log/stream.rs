//! A flash as it comes over a serial line, in one of several transfers.
//!
//! How one looks, and is checked, is in [`stream`](interstice_embedded::stream). What
//! stands before the first `log` line, and lines of other kinds, are left aside: a serial
//! line carries other things too. Each `log` line begins anew, as what was captured may
//! have several attempts in it.

use interstice_embedded::stream::{Line, LineError, Receiver};
use thiserror::Error;

/// Why a stream is not a flash.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A line is not what it should be.
    #[error("line {number} does not read as it should: {why}")]
    Line {
        /// Which line, counted from 1.
        number: usize,
        /// What is wrong.
        why: LineError,
    },
    /// It ends before its end.
    #[error("it ends after byte {at} of {size}, before its `end` line: the transfer was cut short")]
    Cut {
        /// Bytes that came.
        at: u32,
        /// Bytes that should have come.
        size: u32,
    },
    /// It has no `log` line.
    #[error("its beginning is missing: the `log` line before its `end` line, {number}")]
    Beginning {
        /// Which line it ends with, counted from 1.
        number: usize,
    },
    /// All lines are good, and the whole is not what was sent.
    #[error("its checksum is not that of what was sent")]
    Checksum,
}

/// A flash that came in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its bytes.
    pub flash: Vec<u8>,
    /// Transfers that the stream has besides, whole or not.
    pub left_aside: usize,
}

/// The flash that a stream carries, in the last transfer that is whole; `None`:
/// there is none in it.
///
/// # Errors
///
/// When no transfer is whole: what is wrong with the last one.
pub fn decode_stream(bytes: &[u8]) -> Result<Option<Transfer>, StreamError> {
    let mut transfers = Transfers::default();
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        // The last one may have been cut short, and is no worse than none then.
        let is_whole = line.ends_with(b"\n");
        if let Some(line) = Line::parse(line) {
            transfers.take(number, line, is_whole);
        }
    }
    transfers.finish()
}

type Ended = Result<Vec<u8>, StreamError>;

/// The transfers of a stream so far.
#[derive(Default)]
struct Transfers {
    /// How many have ended, and the last whole one, or what is wrong with the last one.
    count: usize,
    ended: Option<Ended>,
    now: Now,
}

/// What a stream is in.
#[derive(Default)]
enum Now {
    #[default]
    Nothing,
    /// A transfer.
    Transfer(Receiver),
    /// Lines of a transfer whose beginning is missing.
    Strays,
    /// What is left of a transfer that has failed.
    Rest,
}

impl Transfers {
    fn take(&mut self, number: usize, line: Result<Line<'_>, LineError>, is_whole: bool) {
        if let Ok(Line::Log { size, .. }) = line {
            self.cut();
            self.now = match Receiver::begin(size) {
                Ok(receiver) => Now::Transfer(receiver),
                Err(why) => self.end(Err(StreamError::Line { number, why })),
            };
            return;
        }
        let is_end = matches!(line, Ok(Line::End { .. } | Line::Err(_)) | Err(LineError::End));
        self.now = match std::mem::take(&mut self.now) {
            Now::Transfer(mut receiver) => match line.and_then(|line| receiver.take(line)) {
                Ok(None) => Now::Transfer(receiver),
                Ok(Some(flash)) => self.end(Ok(flash)),
                Err(LineError::Whole) => self.end(Err(StreamError::Checksum)),
                Err(_) if !is_whole => return self.now = Now::Transfer(receiver),
                Err(why) => self.end(Err(StreamError::Line { number, why })),
            },
            Now::Strays if matches!(line, Ok(Line::End { .. })) => {
                self.end(Err(StreamError::Beginning { number }))
            }
            Now::Nothing if matches!(line, Ok(Line::Data { .. } | Line::Erased { .. })) => {
                Now::Strays
            }
            now => now,
        };
        if is_end {
            self.now = Now::Nothing;
        }
    }

    /// Counts a transfer. A whole one stays, unless this one is whole too. What comes
    /// next is left of it.
    fn end(&mut self, newer: Ended) -> Now {
        self.count += 1;
        if newer.is_ok() || !matches!(self.ended, Some(Ok(_))) {
            self.ended = Some(newer);
        }
        Now::Rest
    }

    /// Ends a transfer that has not come to its end.
    fn cut(&mut self) {
        if let Now::Transfer(receiver) = &self.now {
            let (at, size) = receiver.received();
            self.end(Err(StreamError::Cut { at, size }));
        }
    }

    fn finish(mut self) -> Result<Option<Transfer>, StreamError> {
        self.cut();
        let left_aside = self.count.saturating_sub(1);
        let transfer = |flash| Transfer { flash, left_aside };
        self.ended.map(|ended| ended.map(transfer)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use interstice_embedded::stream::{LINES_MAX, Sender};

    use super::*;

    fn whole(flash: Vec<u8>, left_aside: usize) -> Result<Option<Transfer>, StreamError> {
        Ok(Some(Transfer { flash, left_aside }))
    }

    fn stream(flash: &[u8]) -> String {
        let mut text = "ready\n".to_owned();
        let mut sender = Sender::new(flash.len() as u32, 256);
        while let Some(wanted) = sender.wants() {
            let bytes = &flash[wanted.start as usize..wanted.end as usize];
            let before = text.len();
            sender.give(bytes, &mut text).unwrap();
            assert!(text.len() - before <= LINES_MAX);
        }
        text
    }

    fn flash() -> Vec<u8> {
        (0..2_400u32).map(|at| if at % 2_304 < 800 { (at * 7) as u8 } else { 0xff }).collect()
    }

    #[test]
    fn what_was_sent_comes_out_and_an_image_is_no_stream() {
        assert_eq!(decode_stream(stream(&flash()).as_bytes()), whole(flash(), 0));
        let crlf = stream(&flash()).replace('\n', "\r\n");
        assert_eq!(decode_stream(crlf.as_bytes()), whole(flash(), 0));
        assert_eq!(decode_stream(&flash()), Ok(None));
        assert_eq!(decode_stream(b""), Ok(None));
    }

    #[test]
    fn every_changed_character_and_every_missing_line_is_noticed() {
        let good = stream(&flash());
        let body = good.find("data").unwrap();
        for at in body..good.len() {
            for bit in [1, 0x80] {
                let mut bad = good.clone().into_bytes();
                bad[at] ^= bit;
                let decoded = decode_stream(&bad);
                assert!(
                    decoded.is_err() || decoded == whole(flash(), 0),
                    "byte {at}: {:?}",
                    decoded.map(|transfer| transfer.map(|transfer| transfer.flash.len()))
                );
            }
        }
        let lines: Vec<&str> = good.lines().collect();
        for missing in 1..lines.len() {
            let mut rest = lines.clone();
            rest.remove(missing);
            let decoded = decode_stream(rest.join("\n").as_bytes());
            assert!(decoded.is_err(), "line {missing}");
            let is_beginning = matches!(decoded, Err(StreamError::Beginning { .. }));
            assert_eq!(is_beginning, missing == 1, "line {missing}");
        }
    }

    #[test]
    fn a_transfer_that_ends_anywhere_was_cut_short() {
        let good = stream(&flash());
        let (begun, end) = (good.find("data").unwrap(), good.find("end ").unwrap());
        for len in begun..end + "end 01234567".len() {
            let decoded = decode_stream(&good.as_bytes()[..len]);
            assert!(matches!(decoded, Err(StreamError::Cut { .. })), "{len} bytes: {decoded:?}");
        }
        // Without its line feed the last line is whole.
        assert_eq!(decode_stream(good.trim_end().as_bytes()), whole(flash(), 0));
    }

    #[test]
    fn of_several_transfers_the_last_whole_one_counts() {
        let (older, newer) = (stream(&[3; 500]), stream(&flash()));
        let cut = &newer[..newer.len() / 2];
        // An attempt that was cut short, what was still coming of it, and another.
        let leftover = "data 768 00000000 AAAA\n".repeat(1_500);
        // One that has lost its first line.
        let headless = newer.replace("log ", "lo? ");
        for (text, expected) in [
            (format!("{leftover}{newer}"), whole(flash(), 0)),
            (format!("{cut}\n{newer}"), whole(flash(), 1)),
            (format!("{cut}\n{leftover}{newer}"), whole(flash(), 1)),
            (format!("{older}{newer}{cut}"), whole(flash(), 2)),
            (format!("{newer}{older}"), whole(vec![3; 500], 1)),
            (format!("{older}{headless}"), whole(vec![3; 500], 1)),
            (format!("{headless}{older}{headless}"), whole(vec![3; 500], 2)),
            // What is left of one that has failed is no other one.
            (format!("{older}{}{newer}", newer.replace("data 0", "data 1")), whole(flash(), 2)),
        ] {
            assert_eq!(decode_stream(text.as_bytes()), expected);
        }
        let cuts = decode_stream(format!("{cut}\n{cut}").as_bytes());
        assert!(matches!(
            cuts,
            Err(StreamError::Cut { size: 2_400, .. } | StreamError::Line { .. })
        ));
    }
}
