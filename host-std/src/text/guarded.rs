//! An input of rows, watched while it is read: lines that never end, quotes that are
//! not closed, and on which line a row begins.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

/// Bytes of a line, at most: what a row may hold is far less.
const LINE_MAX: u64 = 16 << 20;

/// Counts lines and quotes of what is read through it.
pub(super) struct Guarded<R> {
    input: R,
    /// Whether quotes are counted.
    is_csv: bool,
    /// Bytes so far.
    at: u64,
    lines: u64,
    /// Bytes of the line that is not ended.
    line_len: u64,
    /// Where quotes are that were not asked for yet.
    quotes: VecDeque<u64>,
    /// Where lines with something in them begin that were not asked for yet, and their
    /// numbers, counted from 1.
    begun: VecDeque<(u64, u64)>,
    /// Nothing but a carriage return has come of the line yet.
    is_blank: bool,
}

impl<R> Guarded<R> {
    pub(super) fn new(input: R, is_csv: bool) -> Self {
        let (quotes, begun) = (VecDeque::new(), VecDeque::new());
        let (at, lines, line_len) = (0, 0, 0);
        Self { input, is_csv, at, lines, line_len, quotes, begun, is_blank: true }
    }

    /// Whether there is an even number of quotes between the last byte that was
    /// asked for and the byte `end`. Else one of them is not closed.
    pub(super) fn has_pairs_before(&mut self, end: u64) -> bool {
        let count = self.quotes.iter().take_while(|at| **at < end).count();
        self.quotes.drain(..count);
        count.is_multiple_of(2)
    }

    /// The line of the row that begins at the byte `start`, or behind blank lines there.
    pub(super) fn line_of(&mut self, start: u64) -> Option<u64> {
        while self.begun.front().is_some_and(|(at, _)| *at < start) {
            self.begun.pop_front();
        }
        self.begun.front().map(|(_, line)| *line)
    }

    /// Notes where the lines in these bytes begin.
    fn note_lines(&mut self, mut bytes: &[u8]) {
        let end = self.at + bytes.len() as u64;
        loop {
            let first = bytes.iter().position(|byte| *byte != b'\r');
            if let Some(first) = first.filter(|first| self.is_blank && bytes[*first] != b'\n') {
                self.begun.push_back((end - (bytes.len() - first) as u64, self.lines + 1));
                self.is_blank = false;
            }
            let Some(next) = memchr::memchr(b'\n', bytes) else { return };
            bytes = &bytes[next + 1..];
            self.lines += 1;
            self.is_blank = true;
        }
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(into)?;
        let bytes = &into[..len];
        if self.is_csv {
            let quotes = memchr::memchr_iter(b'"', bytes);
            self.quotes.extend(quotes.map(|index| self.at + index as u64));
            self.note_lines(bytes);
        } else {
            self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
        self.at += bytes.len() as u64;
        self.line_len = match memchr::memrchr(b'\n', bytes) {
            Some(last) => (bytes.len() - last - 1) as u64,
            None => self.line_len + bytes.len() as u64,
        };
        if self.line_len > LINE_MAX {
            let message = format!("line {} is longer than {LINE_MAX} bytes", self.lines + 1);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_refused_with_its_number() {
        let input = b"first\nsecond\n".chain(io::repeat(b'x'));
        let error = io::copy(&mut Guarded::new(input, false), &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "line 3 is longer than 16777216 bytes");
        let lines = io::repeat(b'\n').take(2 * LINE_MAX);
        assert!(io::copy(&mut Guarded::new(lines, false), &mut io::sink()).is_ok());
    }

    #[test]
    fn quotes_are_counted_up_to_where_is_asked() {
        let input = b"\"a\",b\"\"\n\"c\n";
        let mut guarded = Guarded::new(&input[..], true);
        io::copy(&mut guarded, &mut io::sink()).unwrap();
        // `"a"`, `b""`, and one that is not closed.
        assert!(!guarded.has_pairs_before(1));
        assert!(!guarded.has_pairs_before(3));
        assert!(guarded.has_pairs_before(8));
        assert!(!guarded.has_pairs_before(100));
    }
}
