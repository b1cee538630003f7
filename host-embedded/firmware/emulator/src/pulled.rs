//! The log's flash as it comes over the serial line: see `stream.rs` of
//! `interstice-embedded`.

use anyhow::{Context as _, Result};
use interstice_embedded::stream::{Line, Receiver};

use crate::emulator::Emulator;

/// The log's flash.
pub(crate) struct Pulled {
    pub(crate) bytes: Vec<u8>,
    /// Bytes of a page.
    pub(crate) page: usize,
    /// The lines that it came in, and others.
    pub(crate) text: String,
}

/// Asks for the log.
pub(crate) fn pull(emulator: &mut Emulator) -> Result<Pulled> {
    emulator.send("log")?;
    let mut text = String::new();
    let mut begun: Option<(Receiver, u32)> = None;
    loop {
        let line = emulator.line()?;
        text += &line;
        text.push('\n');
        let Some(parsed) = Line::parse(line.as_bytes()) else { continue };
        let failed = || format!("`{line}`");
        match (parsed.with_context(failed)?, &mut begun) {
            (Line::Log { size, page_size }, None) => {
                begun = Some((Receiver::begin(size)?, page_size));
            }
            (line, begun) => {
                let (receiver, page) = begun.as_mut().with_context(failed)?;
                if let Some(bytes) = receiver.take(line).with_context(failed)? {
                    return Ok(Pulled { bytes, page: *page as usize, text });
                }
            }
        }
    }
}
