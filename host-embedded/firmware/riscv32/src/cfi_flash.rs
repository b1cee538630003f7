//! NOR flash with the Intel command set, two 16-bit chips side by side.
//!
//! Commands and registers are named as in "Intel StrataFlash Embedded Memory
//! (P30)", order number 306666; the query as in JEDEC JESD68.01, "Common Flash
//! Interface". Both chips get every command, each on its half of the 32-bit
//! bus, and both answer.
//!
//! Invariant: between operations the chips are in read-array mode.
//!
//! The chips are those of QEMU's model: one erase region, and no block locked. Real P30
//! chips have smaller blocks at one end, and lock all of them when power comes.
//!
//! QEMU's model overwrites what is there instead of clearing bits. So the
//! driver itself refuses to program a word that is not erased; with real chips
//! that finds mistakes, too.

use core::ptr;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};

/// The second bank of `VIRT_FLASH` in QEMU's `hw/riscv/virt.c`: `-drive
/// if=pflash,unit=1`.
const BANK: usize = 0x2200_0000;

/// Bytes of a sector of the pair: what the chips' query answers for one of
/// them, twice. [`CfiFlash`] checks it.
pub(crate) const SECTOR: usize = 256 << 10;
/// Bytes of a word: one bus cycle.
const WORD: usize = 4;

/// How often the chips are asked whether they are ready: for longer than the 4 s that
/// the erase of a block may take, where a read takes 30 ns.
const POLLS_MAX: u32 = 1 << 27;

/// The commands, for both chips.
mod command {
    const fn both(command: u16) -> u32 {
        (command as u32) << 16 | command as u32
    }

    /// Read Array.
    pub(super) const READ_ARRAY: u32 = both(0x00FF);
    /// Read CFI (query).
    pub(super) const READ_QUERY: u32 = both(0x0098);
    /// Clear Status Register.
    pub(super) const CLEAR_STATUS: u32 = both(0x0050);
    /// Word Program Setup; the word follows.
    pub(super) const PROGRAM: u32 = both(0x0040);
    /// Block Erase Setup.
    pub(super) const ERASE: u32 = both(0x0020);
    /// Block Erase Confirm.
    pub(super) const ERASE_CONFIRM: u32 = both(0x00D0);
}

/// The status register, for both chips.
mod status {
    /// SR7: device write status, 1 when ready.
    pub(super) const READY: u32 = 0x0080_0080;
    /// SR5 erase, SR4 program, SR3 voltage, SR1 lock: what went wrong.
    pub(super) const ERRORS: u32 = 0x003A_003A;
}

/// Where the query's answers are, in words of a chip.
mod query {
    /// `QRY`.
    pub(super) const IDENTIFICATION: usize = 0x10;
    /// Number of erase regions.
    pub(super) const REGIONS: usize = 0x2C;
    /// Bytes of a block of region 1, in units of 256, little-endian in two words.
    pub(super) const REGION_1_SIZE: usize = 0x2F;
}

/// A part of the flash.
pub(crate) struct CfiFlash {
    /// Where it begins in the bank.
    base: u32,
    size: u32,
    /// Whether the chips are there and have the sectors that this driver expects.
    known: bool,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlashError {
    /// The place is not aligned or not inside.
    Place(NorFlashErrorKind),
    /// The word at this offset is not erased.
    NotErased(u32),
    /// The chips report an error; the status registers, at this offset.
    Status(u32, u32),
    /// There are no such chips.
    Unknown,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Place(kind) => *kind,
            Self::NotErased(_) | Self::Status(..) | Self::Unknown => NorFlashErrorKind::Other,
        }
    }
}

impl From<NorFlashErrorKind> for FlashError {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self::Place(kind)
    }
}

impl CfiFlash {
    /// `size` bytes from `base` on, both whole sectors inside the bank.
    ///
    /// # Safety
    ///
    /// The board has the bank. No other handle is in the middle of an operation
    /// while this one is used.
    pub(crate) unsafe fn new(base: u32, size: u32) -> Self {
        Self { base, size, known: Self::is_as_expected() }
    }

    /// Asks the chips. Their answers are at the beginning of the bank.
    fn is_as_expected() -> bool {
        let mut bank = Self { base: 0, size: SECTOR as u32, known: false };
        bank.command(0, command::READ_QUERY);
        let answer = |word: usize| bank.word((word * WORD) as u32);
        let identification = [0, 1, 2].map(|at| answer(query::IDENTIFICATION + at));
        let regions = answer(query::REGIONS);
        let size = [0, 1].map(|at| answer(query::REGION_1_SIZE + at));
        bank.command(0, command::READ_ARRAY);
        let both = |byte: u8| u32::from(byte) << 16 | u32::from(byte);
        let units = (SECTOR / 2 / 256) as u16;
        identification == [b'Q', b'R', b'Y'].map(both)
            && regions == both(1)
            && size == units.to_le_bytes().map(both)
    }

    fn address(&self, offset: u32) -> usize {
        BANK + (self.base + offset) as usize
    }

    fn command(&mut self, offset: u32, command: u32) {
        let address = ptr::with_exposed_provenance_mut::<u32>(self.address(offset));
        // SAFETY: offsets are checked to be inside the part and aligned to words.
        unsafe { address.write_volatile(command) }
    }

    fn word(&self, offset: u32) -> u32 {
        let address = ptr::with_exposed_provenance::<u32>(self.address(offset));
        // SAFETY: offsets are checked to be inside the part and aligned to words.
        unsafe { address.read_volatile() }
    }

    /// Waits for the end of an operation, and goes back to reading.
    fn finish(&mut self, offset: u32) -> Result<(), FlashError> {
        let mut status = 0;
        for _ in 0..POLLS_MAX {
            status = self.word(offset);
            if status & status::READY == status::READY {
                break;
            }
        }
        let failed = status & status::READY != status::READY || status & status::ERRORS != 0;
        if failed {
            self.command(offset, command::CLEAR_STATUS);
        }
        self.command(offset, command::READ_ARRAY);
        if failed { Err(FlashError::Status(offset, status)) } else { Ok(()) }
    }

    fn check_known(&self) -> Result<(), FlashError> {
        if self.known { Ok(()) } else { Err(FlashError::Unknown) }
    }
}

impl ErrorType for CfiFlash {
    type Error = FlashError;
}

impl ReadNorFlash for CfiFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.check_known()?;
        check_read(self, offset, bytes.len())?;
        let mut at = offset as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let word = self.word((at / WORD * WORD) as u32).to_le_bytes();
            let wanted = &word[at % WORD..];
            let len = wanted.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(&wanted[..len]);
            at += len;
            rest = later;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.size as usize
    }
}

impl NorFlash for CfiFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.check_known()?;
        check_erase(self, from, to)?;
        for sector in (from..to).step_by(SECTOR) {
            self.command(sector, command::ERASE);
            self.command(sector, command::ERASE_CONFIRM);
            self.finish(sector)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.check_known()?;
        check_write(self, offset, bytes.len())?;
        let places = || (offset..).step_by(WORD);
        let (words, _) = bytes.as_chunks::<WORD>();
        if let Some((_, used)) = words.iter().zip(places()).find(|(_, at)| self.word(*at) != !0) {
            return Err(FlashError::NotErased(used));
        }
        for (word, at) in words.iter().zip(places()) {
            self.command(at, command::PROGRAM);
            self.command(at, u32::from_le_bytes(*word));
            self.finish(at)?;
        }
        Ok(())
    }
}
