//! The log's flash as it comes over the serial line: see `stream.rs` of
//! `interstice-embedded`.

use anyhow::{Context as _, Result, bail, ensure};
use base64ct::{Base64, Encoding as _};
use crc::{CRC_32_ISO_HDLC, Crc};

use crate::emulator::Emulator;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The log's flash.
pub(crate) struct Pulled {
    pub(crate) bytes: Vec<u8>,
    /// Bytes of a page.
    pub(crate) page: usize,
    /// The lines that it came in.
    pub(crate) text: String,
}

/// Asks for the log.
pub(crate) fn pull(emulator: &mut Emulator) -> Result<Pulled> {
    emulator.send("log")?;
    let header = emulator.line()?;
    let mut text = format!("{header}\n");
    let mut words = header.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<usize>().ok());
    number();
    let (size, page) = number().zip(number()).with_context(|| format!("`{header}`"))?;
    let mut bytes = Vec::with_capacity(size);
    loop {
        let line = emulator.line()?;
        text += &line;
        text.push('\n');
        let Some((kind, rest)) = line.split_once(' ') else { bail!("`{line}`") };
        match kind {
            "data" => data(rest, &mut bytes).with_context(|| format!("`{line}`"))?,
            "erased" => erased(rest, size, &mut bytes).with_context(|| format!("`{line}`"))?,
            "end" => {
                let checksum = u32::from_str_radix(rest, 16)?;
                ensure!(bytes.len() == size, "{} of {size} bytes", bytes.len());
                ensure!(CRC.checksum(&bytes) == checksum, "the checksum of the log differs");
                return Ok(Pulled { bytes, page, text });
            }
            _ => bail!("`{line}`"),
        }
    }
}

/// `OFFSET CHECKSUM BASE64`
fn data(text: &str, bytes: &mut Vec<u8>) -> Result<()> {
    let (offset, rest) = text.split_once(' ').context("no offset")?;
    let (checksum, base64) = rest.split_once(' ').context("no checksum")?;
    let offset: u32 = offset.parse()?;
    ensure!(offset as usize == bytes.len(), "a line is missing before it");
    let block = Base64::decode_vec(base64).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut found = CRC.digest();
    found.update(&offset.to_le_bytes());
    found.update(&block);
    ensure!(found.finalize() == u32::from_str_radix(checksum, 16)?, "its checksum differs");
    bytes.extend_from_slice(&block);
    Ok(())
}

/// `OFFSET LENGTH`
fn erased(text: &str, size: usize, bytes: &mut Vec<u8>) -> Result<()> {
    let (offset, len) = text.split_once(' ').context("no length")?;
    ensure!(offset.parse() == Ok(bytes.len()), "a line is missing before it");
    let end = bytes.len() + len.parse::<usize>()?;
    ensure!(end <= size, "it is longer than the log");
    bytes.resize(end, 0xFF);
    Ok(())
}
