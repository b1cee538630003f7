//! The log in the bytes of a board's flash, read on this machine.

use anyhow::{Result, anyhow, ensure};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use interstice_embedded::{
    FlashLog,
    flash_log::{Entry, ReplayError},
};

use crate::{board::Board, desktop::Desktop};

/// Flash in memory: a copy, so that reading it changes nothing.
struct FlashImage<const PAGE: usize>(Vec<u8>);

impl<const PAGE: usize> ErrorType for FlashImage<PAGE> {
    type Error = NorFlashErrorKind;
}

impl<const PAGE: usize> ReadNorFlash for FlashImage<PAGE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl<const PAGE: usize> NorFlash for FlashImage<PAGE> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        self.0[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// Which commits of the desktop were found in flash, byte for byte.
pub(crate) struct Found(Vec<bool>);

impl Found {
    pub(crate) fn none(desktop: &Desktop) -> Self {
        Self(vec![false; desktop.commits.len()])
    }

    /// How many were found. Snapshots take the place of others.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().filter(|found| **found).count()
    }

    /// Compares every commit that is in flash with the desktop's. Returns how many
    /// there are.
    pub(crate) fn compare(
        &mut self,
        board: Board,
        flash: &[u8],
        desktop: &Desktop,
    ) -> Result<usize> {
        match board {
            Board::CortexM4f => self.compare_pages::<{ 4 << 10 }>(flash, desktop),
            Board::Riscv32 => self.compare_pages::<{ 256 << 10 }>(flash, desktop),
        }
    }

    fn compare_pages<const PAGE: usize>(
        &mut self,
        flash: &[u8],
        desktop: &Desktop,
    ) -> Result<usize> {
        let mounted = FlashLog::<_>::mount(FlashImage::<PAGE>(flash.to_vec()));
        let (mut log, _) = mounted.map_err(|error| anyhow!("{error}"))?;
        let mut commits = 0;
        let replayed = log.replay(&mut |entry| {
            let Entry::Commit(offset, commit) = entry else { return Ok(()) };
            let at = offset.0 as usize;
            ensure!(
                desktop.commits.get(at).is_some_and(|expected| **expected == *commit),
                "commit {at} in flash is not the desktop's"
            );
            self.0[at] = true;
            commits += 1;
            Ok(())
        });
        replayed.map_err(|error| match error {
            ReplayError::Log(error) => anyhow!("{error}"),
            ReplayError::Refused(error) => error,
            other => anyhow!("{other:?}"),
        })?;
        Ok(commits)
    }
}
