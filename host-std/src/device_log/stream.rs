//! A flash as it comes over a serial line: lines that check themselves.
//!
//! ```text
//! log SIZE PAGE_SIZE
//! data OFFSET CHECKSUM BASE64
//! erased OFFSET LENGTH             bytes that read 0xFF
//! end CHECKSUM                     of all SIZE bytes
//! ```
//!
//! Offsets and lengths are decimal; checksums are CRC-32 (ISO-HDLC), 8
//! hexadecimal digits: of a `data` line's bytes behind its offset as four
//! little-endian bytes, and of everything. Lines come in the order of their
//! offsets and leave nothing out. What stands before the first line, and lines of
//! other kinds, are left aside: a serial line carries other things too.

use base64ct::{Base64, Encoding as _};
use crc::{CRC_32_ISO_HDLC, Crc};
use thiserror::Error;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Bytes of the largest flash that is taken.
const SIZE_MAX: usize = 1 << 30;

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
        why: String,
    },
    /// It ends before its end.
    #[error("it ends after byte {at} of {size}: the transfer was cut short")]
    Cut {
        /// Bytes that came.
        at: usize,
        /// Bytes that should have come.
        size: usize,
    },
    /// All lines are good, and the whole is not what was sent.
    #[error("its checksum is not that of what was sent")]
    Checksum,
}

/// The bytes of the flash that a stream carries; `None` if it carries none, and is
/// an image itself.
///
/// # Errors
///
/// When the stream is damaged or cut short.
pub fn decode_stream(bytes: &[u8]) -> Result<Option<Vec<u8>>, StreamError> {
    let mut lines = (1..).zip(bytes.split(|byte| *byte == b'\n')).map(|(number, line)| {
        (number, String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)))
    });
    // An image may have such a line in it, but not near its beginning.
    let size = lines.by_ref().take(1_000).find_map(|(_, line)| begin(&line));
    let Some(size) = size else { return Ok(None) };
    let mut flash = Vec::new();
    for (number, line) in lines {
        let (kind, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let taken = match kind {
            "data" => data(rest, size, &mut flash),
            "erased" => erased(rest, size, &mut flash),
            "end" if flash.len() == size => {
                let is_good = u32::from_str_radix(rest, 16) == Ok(CRC.checksum(&flash));
                return if is_good { Ok(Some(flash)) } else { Err(StreamError::Checksum) };
            }
            "end" => Err(format!("{} of {size} bytes came before it", flash.len())),
            "err" => Err(format!("the device says: {rest}")),
            _ => Ok(()),
        };
        taken.map_err(|why| StreamError::Line { number, why })?;
    }
    Err(StreamError::Cut { at: flash.len(), size })
}

/// The size that the first line says.
fn begin(line: &str) -> Option<usize> {
    let (size, page) = line.strip_prefix("log ")?.split_once(' ')?;
    page.parse::<usize>().ok()?;
    size.parse().ok().filter(|size| *size <= SIZE_MAX)
}

/// `OFFSET CHECKSUM BASE64`
fn data(text: &str, size: usize, flash: &mut Vec<u8>) -> Result<(), String> {
    let (offset, rest) = text.split_once(' ').ok_or("it has no offset")?;
    let (checksum, base64) = rest.split_once(' ').ok_or("it has no checksum")?;
    let offset: u32 = offset.parse().map_err(|_| "its offset is no number")?;
    in_order(offset as usize, flash)?;
    let block = Base64::decode_vec(base64).map_err(|_| "it is not base64")?;
    let mut found = CRC.digest();
    found.update(&offset.to_le_bytes());
    found.update(&block);
    if u32::from_str_radix(checksum, 16) != Ok(found.finalize()) {
        return Err("its checksum differs".into());
    }
    if flash.len() + block.len() > size {
        return Err("it goes on behind the end".into());
    }
    flash.extend_from_slice(&block);
    Ok(())
}

/// `OFFSET LENGTH`
fn erased(text: &str, size: usize, flash: &mut Vec<u8>) -> Result<(), String> {
    let (offset, len) = text.split_once(' ').ok_or("it has no length")?;
    in_order(offset.parse().map_err(|_| "its offset is no number")?, flash)?;
    let len: usize = len.parse().map_err(|_| "its length is no number")?;
    let end = flash.len().checked_add(len).filter(|end| *end <= size);
    flash.resize(end.ok_or("it goes on behind the end")?, 0xff);
    Ok(())
}

fn in_order(offset: usize, flash: &[u8]) -> Result<(), String> {
    match offset == flash.len() {
        true => Ok(()),
        false => Err(format!("it is for byte {offset}, and byte {} comes next", flash.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(flash: &[u8]) -> String {
        let mut text = format!("ready\nlog {} 256\n", flash.len());
        for (index, block) in flash.chunks(48).enumerate() {
            let offset = (index * 48) as u32;
            if block.iter().all(|byte| *byte == 0xff) {
                text += &format!("erased {offset} {}\r\n", block.len());
                continue;
            }
            let mut checksum = CRC.digest();
            checksum.update(&offset.to_le_bytes());
            checksum.update(block);
            let base64 = Base64::encode_string(block);
            text += &format!("data {offset} {:08x} {base64}\n", checksum.finalize());
        }
        text + &format!("end {:08x}\n", CRC.checksum(flash))
    }

    fn flash() -> Vec<u8> {
        (0..1_000u32).map(|at| if at < 300 { (at * 7) as u8 } else { 0xff }).collect()
    }

    #[test]
    fn what_was_sent_comes_out_and_an_image_is_no_stream() {
        assert_eq!(decode_stream(stream(&flash()).as_bytes()), Ok(Some(flash())));
        assert_eq!(decode_stream(&flash()), Ok(None));
        assert_eq!(decode_stream(b""), Ok(None));
    }

    #[test]
    fn every_changed_character_and_every_missing_line_is_noticed() {
        let good = stream(&flash());
        let body = good.find("data").unwrap();
        for at in body..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] ^= 1;
            let decoded = decode_stream(&bad);
            assert!(
                decoded.is_err() || decoded == Ok(Some(flash())),
                "byte {at}: {:?}",
                decoded.map(|bytes| bytes.map(|bytes| bytes.len()))
            );
        }
        let lines: Vec<&str> = good.lines().collect();
        for missing in 2..lines.len() {
            let mut rest = lines.clone();
            rest.remove(missing);
            assert!(decode_stream(rest.join("\n").as_bytes()).is_err(), "line {missing}");
        }
    }
}
