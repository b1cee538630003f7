//! Checks the flash driver, on pages outside the log.
//!
//! The first word of the first page counts the runs, so that a test that
//! restarts the device sees whether flash keeps what it was given.

use core::fmt;

use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

/// What is wrong with the flash.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault<E> {
    /// The driver returned an error that it should not have.
    Driver(&'static str, E),
    /// What was read is not what it should be.
    Differs(&'static str),
    /// The driver did what it must refuse.
    Allowed(&'static str),
}

impl<E: fmt::Debug> fmt::Display for Fault<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(what, error) => write!(f, "{what}: {error:?}"),
            Self::Differs(what) => write!(f, "{what} is not what it should be"),
            Self::Allowed(what) => write!(f, "it was allowed {what}"),
        }
    }
}

/// Runs the test. Returns how many runs before it the flash remembers.
pub(crate) fn run<F: NorFlash>(flash: &mut F) -> Result<u32, Fault<F::Error>> {
    let page = F::ERASE_SIZE as u32;
    let mut count = [0; 4];
    flash.read(0, &mut count).map_err(|error| Fault::Driver("read", error))?;
    let runs = u32::from_le_bytes(count);
    let runs = if runs == u32::MAX { 0 } else { runs };

    flash.erase(0, 2 * page).map_err(|error| Fault::Driver("erase", error))?;
    expect(flash, 0, &[0xFF; 64], "the first page after erasing it")?;
    expect(flash, page - 64, &[0xFF; 128], "the pages' border after erasing them")?;

    let pattern: [u8; 64] = core::array::from_fn(|index| index as u8 ^ 0x5A);
    // Over the border of the two pages.
    let place = page - 32;
    flash.write(place, &pattern).map_err(|error| Fault::Driver("program", error))?;
    expect(flash, place, &pattern, "what was programmed")?;
    expect(flash, place + 1, &pattern[1..6], "unaligned bytes of it")?;
    expect(flash, place - 4, &[0xFF; 4], "the word before it")?;
    expect(flash, place + 64, &[0xFF; 4], "the word behind it")?;

    refuse(flash.write(place, &pattern[..4]), None, "to program a word twice")?;
    expect(flash, place, &pattern, "what was not programmed again")?;
    let aligned = Some(NorFlashErrorKind::NotAligned);
    refuse(flash.write(1, &pattern[..4]), aligned, "to program at an odd place")?;
    refuse(flash.write(0, &pattern[..3]), aligned, "to program a part of a word")?;
    refuse(flash.erase(4, page), aligned, "to erase a part of a page")?;
    let end = flash.capacity() as u32;
    let bounds = Some(NorFlashErrorKind::OutOfBounds);
    refuse(flash.write(end, &pattern[..4]), bounds, "to program behind the end")?;
    refuse(flash.erase(end, end + page), bounds, "to erase behind the end")?;
    refuse(flash.read(end - 4, &mut [0; 8]), bounds, "to read over the end")?;

    flash.erase(page, 2 * page).map_err(|error| Fault::Driver("erase", error))?;
    expect(flash, page, &[0xFF; 32], "an erased page")?;
    expect(flash, place, &pattern[..32], "the page before it")?;
    let count = (runs + 1).to_le_bytes();
    flash.write(0, &count).map_err(|error| Fault::Driver("program", error))?;
    Ok(runs)
}

fn expect<F: NorFlash>(
    flash: &mut F,
    at: u32,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), Fault<F::Error>> {
    let mut found = [0; 128];
    let found = &mut found[..bytes.len()];
    flash.read(at, found).map_err(|error| Fault::Driver(what, error))?;
    if found == bytes { Ok(()) } else { Err(Fault::Differs(what)) }
}

/// Whether an operation failed, with this kind of error if one is given.
fn refuse<E: NorFlashError>(
    result: Result<(), E>,
    kind: Option<NorFlashErrorKind>,
    what: &'static str,
) -> Result<(), Fault<E>> {
    match result {
        Err(error) if kind.is_none_or(|kind| error.kind() == kind) => Ok(()),
        _ => Err(Fault::Allowed(what)),
    }
}
