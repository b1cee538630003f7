//! The lines of a stream: text <-> what it says.

use core::{error::Error, fmt, str};

/// A line of a [stream](super), as it is written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line<'a> {
    /// A flash begins.
    Log {
        /// Its bytes.
        size: u32,
        /// Bytes of a page.
        page_size: u32,
    },
    /// Bytes of it.
    Data {
        /// Where they begin.
        offset: u32,
        /// Of the offset and the bytes.
        checksum: u32,
        /// The bytes.
        base64: &'a str,
    },
    /// Bytes that read 0xFF.
    Erased {
        /// Where they begin.
        offset: u32,
        /// How many.
        len: u32,
    },
    /// That was all.
    End {
        /// Of all bytes.
        checksum: u32,
    },
    /// There is no more, and why.
    Err(&'a str),
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { size, page_size } => write!(f, "log {size} {page_size}"),
            Self::Data { offset, checksum, base64 } => {
                write!(f, "data {offset} {checksum:08x} {base64}")
            }
            Self::Erased { offset, len } => write!(f, "erased {offset} {len}"),
            Self::End { checksum } => write!(f, "end {checksum:08x}"),
            Self::Err(why) => write!(f, "err {why}"),
        }
    }
}

impl<'a> Line<'a> {
    /// Reads a line, with its end or without. `None`: it is of another kind, and to be
    /// left aside.
    pub fn parse(line: &'a [u8]) -> Option<Result<Self, LineError>> {
        let mut line = line.strip_suffix(b"\n").unwrap_or(line);
        while let Some(rest) = line.strip_suffix(b"\r") {
            line = rest;
        }
        // As bytes: what is damaged behind the kind is a line of that kind.
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (kind, rest) = line.split_at_checked(space)?;
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let text = str::from_utf8(rest).map_err(|_| LineError::Text);
        match kind {
            b"log" => Self::log(text.ok()?).map(Ok),
            b"data" => Some(text.and_then(Self::data)),
            b"erased" => Some(text.and_then(Self::erased)),
            b"end" => Some(text.ok().and_then(Self::end).ok_or(LineError::End)),
            b"err" => {
                let why = rest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                Some(Ok(Self::Err(why)))
            }
            _ => None,
        }
    }

    /// `SIZE PAGE_SIZE`. Other things begin with this word too.
    fn log(text: &str) -> Option<Self> {
        let (size, page_size) = text.split_once(' ')?;
        Some(Self::Log { size: size.parse().ok()?, page_size: page_size.parse().ok()? })
    }

    /// `OFFSET CHECKSUM BASE64`
    fn data(text: &'a str) -> Result<Self, LineError> {
        let (offset, rest) = text.split_once(' ').ok_or(LineError::NoOffset)?;
        let (checksum, base64) = rest.split_once(' ').ok_or(LineError::NoChecksum)?;
        let offset = offset.parse().map_err(|_| LineError::Offset)?;
        let checksum = u32::from_str_radix(checksum, 16).map_err(|_| LineError::Checksum)?;
        Ok(Self::Data { offset, checksum, base64 })
    }

    /// `OFFSET LENGTH`
    fn erased(text: &str) -> Result<Self, LineError> {
        let (offset, len) = text.split_once(' ').ok_or(LineError::NoLength)?;
        let offset = offset.parse().map_err(|_| LineError::Offset)?;
        Ok(Self::Erased { offset, len: len.parse().map_err(|_| LineError::Length)? })
    }

    /// `CHECKSUM`
    fn end(text: &str) -> Option<Self> {
        let digits = Some(text).filter(|text| text.len() == 8)?;
        Some(Self::End { checksum: u32::from_str_radix(digits, 16).ok()? })
    }
}

/// What is wrong with a line, or with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineError {
    /// It is not text.
    Text,
    /// It has no offset.
    NoOffset,
    /// Its offset is no number.
    Offset,
    /// It has no checksum.
    NoChecksum,
    /// It has no length.
    NoLength,
    /// Its length is no number.
    Length,
    /// The checksum of an `end` line is no number.
    End,
    /// The bytes are not those of the checksum.
    Checksum,
    /// It is not base64, or has more bytes than a line may.
    Base64,
    /// It goes on behind the end.
    BehindEnd,
    /// It is not the one that comes next.
    Order {
        /// The byte that it is for.
        found: u32,
        /// The byte that comes next.
        next: u32,
    },
    /// The end comes too early.
    Early {
        /// Bytes that came.
        at: u32,
        /// Bytes that should have come.
        size: u32,
    },
    /// All lines are good, and the whole is not what was sent.
    Whole,
    /// Another transfer begins.
    Again,
    /// The flash is larger than is taken.
    Size,
    /// There is no memory for it.
    Memory,
    /// The device cannot read its flash; the first bytes of what it says.
    Device(heapless::String<64>),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order { found, next } => {
                return write!(f, "it is for byte {found}, and byte {next} comes next");
            }
            Self::Early { at, size } => {
                return write!(f, "{at} of {size} bytes came before it");
            }
            Self::Device(why) => return write!(f, "the device says: {why}"),
            Self::Text => "it is not text",
            Self::NoOffset => "it has no offset",
            Self::Offset => "its offset is no number",
            Self::NoChecksum => "it has no checksum",
            Self::NoLength => "it has no length",
            Self::Length => "its length is no number",
            Self::End => "its checksum is no number",
            Self::Checksum => "its checksum differs",
            Self::Base64 => "it is not base64 of up to 768 bytes",
            Self::BehindEnd => "it goes on behind the end",
            Self::Whole => "its checksum is not that of what was sent",
            Self::Again => "another transfer begins with it",
            Self::Size => "the flash has more than 256 MiB",
            Self::Memory => "there is no memory for it",
        })
    }
}

impl Error for LineError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for line in [
            Line::Log { size: 32_768, page_size: 4_096 },
            Line::Data { offset: 768, checksum: 0x1f, base64: "AAAA" },
            Line::Erased { offset: 0, len: u32::MAX },
            Line::End { checksum: 0xffff_ffff },
            Line::Err("flash cannot be read at 0"),
        ] {
            let text = alloc::format!("{line}");
            for end in ["", "\n", "\r\n"] {
                let text = alloc::format!("{text}{end}");
                assert_eq!(Line::parse(text.as_bytes()), Some(Ok(line)));
            }
        }
    }

    #[test]
    fn other_lines_are_left_aside_and_damaged_ones_are_not() {
        for other in
            [&b""[..], b"ready", b"log", b"log on", b"log 5 \xff", b"logs 1 2", b"led on 5"]
        {
            assert_eq!(Line::parse(other), None);
        }
        for (line, error) in [
            (&b"data 0 \xff0000000 AAAA"[..], LineError::Text),
            (b"data", LineError::NoOffset),
            (b"data 0", LineError::NoOffset),
            (b"data x 0 AAAA", LineError::Offset),
            (b"data 0 AAAA", LineError::NoChecksum),
            (b"data 0 0000000g AAAA", LineError::Checksum),
            (b"erased 0", LineError::NoLength),
            (b"erased 0 -1", LineError::Length),
            (b"end", LineError::End),
            (b"end \xff", LineError::End),
        ] {
            assert_eq!(Line::parse(line), Some(Err(error)));
        }
        assert_eq!(Line::parse(b"err bad\xffness\n"), Some(Ok(Line::Err("bad"))));
    }
}
