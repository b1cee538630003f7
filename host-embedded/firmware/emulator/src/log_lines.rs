//! What a board has logged with defmt.

use anyhow::{Context as _, Result, bail};
use defmt_decoder::{DecodeError, Table};

/// Reads what boards log; it needs the image, which has the texts.
pub(crate) struct LogDecoder(Table);

impl LogDecoder {
    pub(crate) fn new(image: &[u8]) -> Result<Self> {
        let table = Table::parse(image)?.context("the image has no defmt section")?;
        Ok(Self(table))
    }

    /// The lines, as `LEVEL text`. A line that the end of the board has cut is
    /// left out.
    pub(crate) fn lines(&self, bytes: &[u8]) -> Result<Vec<String>> {
        let mut decoder = self.0.new_stream_decoder();
        decoder.received(bytes);
        let mut lines = Vec::new();
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let level = frame.level().map_or("", |level| level.as_str());
                    lines.push(format!("{level} {}", frame.display_message()));
                }
                Err(DecodeError::UnexpectedEof) => return Ok(lines),
                Err(DecodeError::Malformed) => bail!("a malformed defmt frame behind {lines:?}"),
            }
        }
    }
}
