//! The blocking front.

use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash as asynchronous;
use interstice_core::{
    CommittedState, TxOffset,
    log::{Log, frame::LogHeader},
};

use super::{
    AsyncFlashLog, Entry, FlashLogError, Geometry, MountError, Mounted, RECORD_LEN, ReplayError,
    now, region::Region,
};

/// A blocking flash, as one that never waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blocking<F>(pub F);

impl<F: blocking::ErrorType> asynchronous::ErrorType for Blocking<F> {
    type Error = F::Error;
}

impl<F: blocking::ReadNorFlash> asynchronous::ReadNorFlash for Blocking<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    #[inline]
    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: blocking::NorFlash> asynchronous::NorFlash for Blocking<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0.erase(from, to)
    }

    #[inline]
    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write(offset, bytes)
    }
}

/// The log in a ring of flash pages, on a blocking flash. See
/// [`AsyncFlashLog`], of which this is a front, for what `RECORD` is.
///
/// It is a [`Log`]: a commit survives when `append` returns; `sync` has
/// nothing left to do.
#[derive(Clone)]
pub struct FlashLog<F, const RECORD: usize = RECORD_LEN> {
    log: AsyncFlashLog<Blocking<F>, RECORD>,
}

impl<F: blocking::NorFlash, const RECORD: usize> FlashLog<F, RECORD> {
    /// See [`AsyncFlashLog::format`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn format(flash: F, log: LogHeader) -> Result<Self, MountError> {
        now(AsyncFlashLog::format(Blocking(flash), log)).map(|log| Self { log })
    }

    /// See [`AsyncFlashLog::mount`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn mount(flash: F) -> Result<(Self, Mounted), MountError> {
        Self::mount_region(Region::new(Blocking(flash))?)
    }

    /// Mounts a flash as one of another shape.
    pub(super) fn mount_as(flash: F, geometry: Geometry) -> Result<(Self, Mounted), MountError> {
        Self::mount_region(Region::of(Blocking(flash), geometry)?)
    }

    fn mount_region(region: Region<Blocking<F>>) -> Result<(Self, Mounted), MountError> {
        let mut log = Self { log: AsyncFlashLog::unmounted(region) };
        let mounted = log.find_end()?;
        Ok((log, mounted))
    }

    // A start-up has its stack for later stages.
    #[inline(never)]
    fn find_end(&mut self) -> Result<Mounted, MountError> {
        now(self.log.find_end())
    }

    /// See [`AsyncFlashLog::replay`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn replay<E>(
        &mut self,
        visit: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        now(self.log.replay(visit))
    }

    /// See [`AsyncFlashLog::append`].
    ///
    /// # Errors
    ///
    /// See there.
    #[inline]
    pub fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), FlashLogError> {
        now(self.log.append(offset, commit))
    }

    /// See [`AsyncFlashLog::mark`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn mark(&mut self) -> Result<(), FlashLogError> {
        now(self.log.mark())
    }

    /// See [`AsyncFlashLog::begin_snapshot`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn begin_snapshot(&mut self) -> Result<(), FlashLogError> {
        self.log.begin_snapshot()
    }

    /// See [`AsyncFlashLog::write_snapshot`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn write_snapshot(&mut self, piece: &[u8]) -> Result<(), FlashLogError> {
        now(self.log.write_snapshot(piece))
    }

    /// See [`AsyncFlashLog::finish_snapshot`].
    ///
    /// # Errors
    ///
    /// See there.
    pub fn finish_snapshot(&mut self) -> Result<(), FlashLogError> {
        now(self.log.finish_snapshot())
    }

    /// Writes the records that the next `budget` bytes of a snapshot of `state` go
    /// into, or of the rest of the one that is being written, and at least one.
    /// Returns whether it is finished. In between nothing can be appended, so the
    /// state stays the same.
    ///
    /// The content is gathered into full records, so a snapshot takes the same pages
    /// whatever its rows and `budget` are.
    ///
    /// # Errors
    ///
    /// As [`AsyncFlashLog::write_snapshot`]. [`FlashLogError::Full`] for a state
    /// that is too large comes before anything is written.
    pub fn snapshot_of(
        &mut self,
        state: &CommittedState,
        budget: usize,
    ) -> Result<bool, FlashLogError> {
        if self.log.snapshot_len().is_none() {
            self.check_snapshot(state, 0)?;
            self.log.begin_snapshot()?;
        }
        self.go_on_with_snapshot(state, budget)
    }

    fn go_on_with_snapshot(
        &mut self,
        state: &CommittedState,
        budget: usize,
    ) -> Result<bool, FlashLogError> {
        let mut skip = self.log.snapshot_len().unwrap_or_default();
        let mut left = budget.max(1);
        let mut block = heapless::Vec::<u8, RECORD>::new();
        let written = encode(state, &mut |piece| {
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= skipped as u64;
            let mut rest = piece.get(skipped..).unwrap_or_default();
            while !rest.is_empty() {
                if left == 0 {
                    // What is gathered is encoded again then.
                    return Err(Stop::Enough);
                }
                let len = self.log.next_block_len().map_err(Stop::Failed)?;
                let room = len.saturating_sub(block.len());
                let (taken, behind) = rest.split_at_checked(room).unwrap_or((rest, &[]));
                // A block is smaller than a record.
                block.extend_from_slice(taken).map_err(|_| Stop::Failed(FlashLogError::Full))?;
                rest = behind;
                if block.len() >= len {
                    now(self.log.write_snapshot(&block)).map_err(Stop::Failed)?;
                    left = left.saturating_sub(block.len());
                    block.clear();
                }
            }
            Ok(())
        });
        match written {
            Ok(()) => {
                now(self.log.write_snapshot(&block))?;
                self.finish_snapshot().map(|()| true)
            }
            Err(Stop::Enough) => Ok(false),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Whether a snapshot of `state` fits the pages that are free, and a commit of
    /// `len` bytes what it leaves.
    fn check_snapshot(&self, state: &CommittedState, len: usize) -> Result<(), FlashLogError> {
        let mut bytes = 0;
        // Counting does not stop.
        let _ = encode(state, &mut |piece| {
            bytes += piece.len();
            Ok(())
        });
        self.log.check_room_behind(bytes, len)
    }

    /// Whether a snapshot is being written.
    pub fn is_snapshotting(&self) -> bool {
        self.log.snapshot_len().is_some()
    }

    /// Bytes of a snapshot that go into one record.
    pub fn block_len(&self) -> usize {
        self.log.block_len()
    }

    /// The log's id and seed.
    pub fn header(&self) -> LogHeader {
        self.log.header()
    }

    /// The position of the next commit.
    pub fn next_offset(&self) -> TxOffset {
        self.log.next_offset()
    }

    /// The shape of the region.
    pub fn geometry(&self) -> Geometry {
        self.log.geometry()
    }

    /// See [`AsyncFlashLog::free_pages`].
    pub fn free_pages(&self) -> u16 {
        self.log.free_pages()
    }

    /// See [`AsyncFlashLog::wants_snapshot`].
    pub fn wants_snapshot(&self) -> bool {
        self.log.wants_snapshot()
    }

    /// See [`AsyncFlashLog::has_failed`].
    pub fn has_failed(&self) -> bool {
        self.log.has_failed()
    }

    /// See [`AsyncFlashLog::needs_snapshot`].
    pub fn needs_snapshot(&self) -> bool {
        self.log.needs_snapshot()
    }

    /// The flash. Writing to it behind the log's back breaks the log.
    pub fn flash(&mut self) -> &mut F {
        &mut self.log.flash().0
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.log.into_flash().0
    }
}

/// Why the encoding of a snapshot stops.
enum Stop {
    Enough,
    Failed(FlashLogError),
}

/// Encodes a snapshot in pieces.
// Once for counting and writing: a device has no room for two of it.
fn encode(
    state: &CommittedState,
    take: &mut dyn FnMut(&[u8]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    state.encode_snapshot(&mut |piece| take(piece))
}

impl<F: blocking::NorFlash, const RECORD: usize> Log for FlashLog<F, RECORD> {
    type Error = FlashLogError;

    #[inline]
    fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), FlashLogError> {
        FlashLog::append(self, offset, commit)
    }

    /// Writes a snapshot of the state when the pages run out.
    #[inline]
    fn prepare(&mut self, state: &CommittedState, len: usize) -> Result<(), FlashLogError> {
        match self.log.check_room(len) {
            Err(FlashLogError::NeedsSnapshot) => {
                self.check_snapshot(state, len)?;
                self.log.begin_snapshot()?;
            }
            Err(FlashLogError::Snapshotting) => {}
            other => return other,
        }
        self.go_on_with_snapshot(state, usize::MAX)?;
        // Pages that were left out on the way may be missing now.
        self.log.check_room(len)
    }

    fn sync(&mut self) -> Result<(), FlashLogError> {
        Ok(())
    }
}
