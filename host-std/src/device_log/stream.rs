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
//! other kinds, are left aside: a serial line carries other things too. Each `log`
//! line begins anew, as what was captured may have several attempts in it.

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
    #[error("it ends after byte {at} of {size}, before its `end` line: the transfer was cut short")]
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

/// A flash that came in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its bytes.
    pub flash: Vec<u8>,
    /// Transfers that the stream has besides, whole or not.
    pub left_aside: usize,
}

/// The flash that a stream carries, in the last transfer that is whole; `None`:
/// there is no `log` line in it.
///
/// # Errors
///
/// When no transfer is whole: what is wrong with the last one.
pub fn decode_stream(bytes: &[u8]) -> Result<Option<Transfer>, StreamError> {
    let mut ended = None;
    let mut transfers = 0;
    let mut current: Option<Current> = None;
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(size) = beginning(line) {
            // A whole one before it stays, unless this one is whole too.
            if let Some(cut) = current.take() {
                keep_better(&mut ended, Err(cut.cut()));
            }
            transfers += 1;
            current = Some(Current { size, flash: Vec::new() });
        } else if let Some(transfer) = &mut current
            && let Some(end) = transfer.take(number, &String::from_utf8_lossy(line)).transpose()
        {
            current = None;
            keep_better(&mut ended, end);
        }
    }
    if let Some(cut) = current {
        keep_better(&mut ended, Err(cut.cut()));
    }
    let transfer = |flash| Transfer { flash, left_aside: transfers - 1 };
    ended.map(|flash| flash.map(transfer)).transpose()
}

type Ended = Result<Vec<u8>, StreamError>;

/// Keeps the newer one, but a whole one before one that is not.
fn keep_better(ended: &mut Option<Ended>, newer: Ended) {
    if newer.is_ok() || !matches!(ended, Some(Ok(_))) {
        *ended = Some(newer);
    }
}

/// A transfer that has begun.
struct Current {
    size: usize,
    flash: Vec<u8>,
}

impl Current {
    /// Takes a line. The flash, when that was the last one.
    fn take(&mut self, number: usize, line: &str) -> Result<Option<Vec<u8>>, StreamError> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (size, flash) = (self.size, &mut self.flash);
        let taken = match kind {
            "data" => data(rest, size, flash),
            "erased" => erased(rest, size, flash),
            "end" if flash.len() == size => {
                let is_good = u32::from_str_radix(rest, 16) == Ok(CRC.checksum(flash));
                let flash = std::mem::take(flash);
                return if is_good { Ok(Some(flash)) } else { Err(StreamError::Checksum) };
            }
            "end" => Err(format!("{} of {size} bytes came before it", flash.len())),
            "err" => Err(format!("the device says: {rest}")),
            _ => Ok(()),
        };
        taken.map(|()| None).map_err(|why| StreamError::Line { number, why })
    }

    fn cut(&self) -> StreamError {
        StreamError::Cut { at: self.flash.len(), size: self.size }
    }
}

/// The size that a transfer's first line says.
pub(super) fn beginning(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line.strip_prefix(b"log ")?).ok()?;
    let (size, page) = line.trim_end_matches('\r').split_once(' ')?;
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

    fn whole(flash: Vec<u8>, left_aside: usize) -> Result<Option<Transfer>, StreamError> {
        Ok(Some(Transfer { flash, left_aside }))
    }

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
        assert_eq!(decode_stream(stream(&flash()).as_bytes()), whole(flash(), 0));
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
                decoded.is_err() || decoded == whole(flash(), 0),
                "byte {at}: {:?}",
                decoded.map(|transfer| transfer.map(|transfer| transfer.flash.len()))
            );
        }
        let lines: Vec<&str> = good.lines().collect();
        for missing in 2..lines.len() {
            let mut rest = lines.clone();
            rest.remove(missing);
            assert!(decode_stream(rest.join("\n").as_bytes()).is_err(), "line {missing}");
        }
    }

    #[test]
    fn of_several_transfers_the_last_whole_one_counts() {
        let (older, newer) = (stream(&[3; 500]), stream(&flash()));
        let cut = &newer[..newer.len() / 2];
        // An attempt that was cut short, what was still coming of it, and another.
        let leftover = "data 768 00000000 AAAA\n".repeat(1_500);
        for (text, expected) in [
            (format!("{leftover}{newer}"), whole(flash(), 0)),
            (format!("{cut}\n{newer}"), whole(flash(), 1)),
            (format!("{cut}\n{leftover}{newer}"), whole(flash(), 1)),
            (format!("{older}{newer}{cut}"), whole(flash(), 2)),
            (format!("{newer}{older}"), whole(vec![3; 500], 1)),
        ] {
            assert_eq!(decode_stream(text.as_bytes()), expected);
        }
        let cuts = decode_stream(format!("{cut}\n{cut}").as_bytes());
        assert!(matches!(
            cuts,
            Err(StreamError::Cut { size: 1_000, .. } | StreamError::Line { .. })
        ));
    }
}
