//! Writing, to what may say anything.

use embedded_io::Write;

/// Why not all was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteError<E> {
    /// What it says.
    Io(E),
    /// It takes nothing, or says to have taken more than there was.
    Stopped,
}

/// As [`Write::write_all`], which panics where nothing is taken, or more than there
/// was.
pub(crate) fn write_all<W: Write>(out: &mut W, bytes: &[u8]) -> Result<(), WriteError<W::Error>> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = out.write(rest).map_err(WriteError::Io)?;
        let behind = rest.get(written..).filter(|_| written > 0);
        rest = behind.ok_or(WriteError::Stopped)?;
    }
    Ok(())
}
