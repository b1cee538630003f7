//! The pages of a region: read, program, erase, and read back.

use core::ops::Range;

use embedded_storage::nor_flash::NorFlashError as _;
use embedded_storage_async::nor_flash::NorFlash;

use super::{
    FlashError, Geometry, MountError, Operation,
    page::{BadHeader, HEADER_LEN, LABEL_LEN, Label, PageHeader},
    record::is_blank,
};

/// Bytes of the smallest page.
pub const PAGE_SIZE_MIN: u32 = 256;

/// Bytes of the largest word.
pub const WORD_MAX: usize = 32;

/// Bytes that are read at once where it does not matter.
const CHUNK: usize = 64;

/// The page of a ring of `pages` that has this number.
pub(super) fn page_of(sequence: u64, pages: u16) -> u16 {
    sequence.checked_rem(pages.into()).unwrap_or_default() as u16
}

/// The bytes of as many words as `len` bytes need. A word is a power of two.
pub(super) fn whole_words(len: usize, word: usize) -> usize {
    (len + (word - 1)) & !(word - 1)
}

#[derive(Clone)]
pub(super) struct Region<F> {
    flash: F,
    pub(super) geometry: Geometry,
}

impl<F: NorFlash> Region<F> {
    pub(super) fn new(flash: F) -> Result<Self, MountError> {
        let word = F::WRITE_SIZE.max(F::READ_SIZE);
        let (page_size, capacity) = (F::ERASE_SIZE, flash.capacity());
        let pages = capacity.checked_div(page_size).unwrap_or_default();
        let refused = MountError::Region {
            page_size: page_size as u64,
            pages: pages as u64,
            word: word as u64,
        };
        let (Ok(page_size), Ok(pages), Ok(word)) =
            (u32::try_from(page_size), u16::try_from(pages), u16::try_from(word))
        else {
            return Err(refused);
        };
        Self::of(flash, Geometry { page_size, pages, word })
    }

    /// A flash as one of another shape.
    pub(super) fn of(flash: F, geometry: Geometry) -> Result<Self, MountError> {
        Self { flash, geometry }.checked()
    }

    fn checked(self) -> Result<Self, MountError> {
        let Geometry { page_size, pages, word } = self.geometry;
        let word = usize::from(word);
        let is_good = (1..=WORD_MAX).contains(&word)
            && CHUNK.is_multiple_of(word)
            && page_size >= PAGE_SIZE_MIN
            && (page_size as usize).is_multiple_of(CHUNK)
            && pages >= 2
            && page_size.checked_mul(pages.into()).is_some();
        let (page_size, pages, word) = (page_size.into(), pages.into(), word as u64);
        if is_good { Ok(self) } else { Err(MountError::Region { page_size, pages, word }) }
    }

    pub(super) fn into_flash(self) -> F {
        self.flash
    }

    pub(super) fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    pub(super) fn word(&self) -> usize {
        self.geometry.word.into()
    }

    /// Bytes of a header, in whole words: where the first record begins.
    pub(super) fn header_len(&self) -> usize {
        whole_words(HEADER_LEN, self.word())
    }

    fn at(&self, page: u16, place: u32) -> u32 {
        u32::from(page) * self.geometry.page_size + place
    }

    /// The page behind `page`, in the ring.
    pub(super) fn behind(&self, page: u16) -> u16 {
        let next = page.wrapping_add(1);
        if next >= self.geometry.pages { 0 } else { next }
    }

    /// The page that has this number: numbers go around the ring as pages do.
    pub(super) fn page_of(&self, sequence: u64) -> u16 {
        page_of(sequence, self.geometry.pages)
    }

    /// The lowest number above `top` that `page` can have.
    pub(super) fn number_above(&self, top: u64, page: u16) -> Option<u64> {
        let next = top.checked_add(1)?;
        next.checked_add(self.distance(self.page_of(next), page).into())
    }

    /// How many pages `to` is behind `from`, in the ring.
    pub(super) fn distance(&self, from: u16, to: u16) -> u16 {
        if to >= from { to - from } else { self.geometry.pages - from + to }
    }

    pub(super) async fn read(
        &mut self,
        page: u16,
        place: u32,
        bytes: &mut [u8],
    ) -> Result<(), FlashError> {
        let at = self.at(page, place);
        self.flash.read(at, bytes).await.map_err(|error| FlashError {
            operation: Operation::Read,
            at,
            kind: error.kind(),
        })
    }

    /// Programs whole words, and reads them back.
    pub(super) async fn program(
        &mut self,
        page: u16,
        place: u32,
        bytes: &[u8],
    ) -> Result<(), FlashError> {
        let at = self.at(page, place);
        self.flash.write(at, bytes).await.map_err(|error| FlashError {
            operation: Operation::Program,
            at,
            kind: error.kind(),
        })?;
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        for expected in bytes.chunks(CHUNK) {
            let found = chunk.get_mut(..expected.len()).unwrap_or_default();
            self.read(page, place + done, found).await?;
            self.verify(page, place + done, found == expected)?;
            done += expected.len() as u32;
        }
        Ok(())
    }

    /// Erases a page, and looks whether it is blank.
    pub(super) async fn erase(&mut self, page: u16) -> Result<(), FlashError> {
        let (from, to) = (self.at(page, 0), self.at(page, self.geometry.page_size));
        self.flash.erase(from, to).await.map_err(|error| FlashError {
            operation: Operation::Erase,
            at: from,
            kind: error.kind(),
        })?;
        let blank = self.is_blank(page, 0..self.geometry.page_size).await?;
        self.verify(page, 0, blank)
    }

    /// Erases all pages in the order of the ring, the newest last: what is left of a log
    /// misses its beginning, and does not mount as it was some commits before. Returns
    /// the highest number of a page that could not be erased, and may hold a page of an
    /// older log.
    pub(super) async fn erase_all(&mut self) -> Result<u64, FlashError> {
        let mut newest = (0, self.geometry.pages - 1);
        for page in 0..self.geometry.pages {
            // One that cannot be read now may be readable behind its erase.
            if let Ok(Some(label)) = self.label(page).await {
                newest = newest.max((label.sequence, page));
            }
        }
        let (mut erased, mut good, mut top) = (Ok(()), 0, 0);
        let mut page = newest.1;
        for _ in 0..self.geometry.pages {
            page = self.behind(page);
            if let Err(error) = self.erase(page).await {
                erased = Err(error);
                top = self.label(page).await?.map_or(top, |label| top.max(label.sequence));
            } else {
                good += 1;
            }
        }
        if good < 2 {
            erased?;
        }
        Ok(top)
    }

    fn verify(&self, page: u16, place: u32, is_good: bool) -> Result<(), FlashError> {
        let kind = embedded_storage::nor_flash::NorFlashErrorKind::Other;
        let (operation, at) = (Operation::Verify, self.at(page, place));
        if is_good { Ok(()) } else { Err(FlashError { operation, at, kind }) }
    }

    /// Whether these places of a page are as an erase leaves them. Whole words
    /// are read, and nothing behind the page.
    pub(super) async fn is_blank(
        &mut self,
        page: u16,
        places: Range<u32>,
    ) -> Result<bool, FlashError> {
        let mut chunk = [0; CHUNK];
        let Range { start: mut place, end } = places;
        let end = end.min(self.geometry.page_size);
        while place < end {
            let len = CHUNK.min(whole_words((end - place) as usize, self.word()));
            let bytes = chunk.get_mut(..len).unwrap_or_default();
            self.read(page, place, bytes).await?;
            if !is_blank(bytes) {
                return Ok(false);
            }
            place += len as u32;
        }
        Ok(true)
    }

    /// The bytes that a page's label is in.
    pub(super) async fn label_bytes(&mut self, page: u16) -> Result<[u8; LABEL_LEN], FlashError> {
        let mut bytes = [0; WORD_MAX];
        let len = whole_words(LABEL_LEN, self.word());
        self.read(page, 0, bytes.get_mut(..len).unwrap_or_default()).await?;
        Ok(bytes.first_chunk().copied().unwrap_or_default())
    }

    pub(super) async fn label(&mut self, page: u16) -> Result<Option<Label>, FlashError> {
        Ok(Label::decode(&self.label_bytes(page).await?, page))
    }

    /// A page's header.
    pub(super) async fn header(
        &mut self,
        page: u16,
    ) -> Result<Result<PageHeader, BadHeader>, FlashError> {
        let mut bytes = [0; HEADER_LEN + WORD_MAX];
        let len = self.header_len();
        self.read(page, 0, bytes.get_mut(..len).unwrap_or_default()).await?;
        let header = bytes.first_chunk().copied().unwrap_or([0; HEADER_LEN]);
        Ok(PageHeader::decode(&header, page))
    }

    /// The label of the page with this number, if it is there.
    pub(super) async fn find(&mut self, sequence: u64) -> Result<Option<Label>, FlashError> {
        let label = self.label(self.page_of(sequence)).await?;
        Ok(label.filter(|label| label.sequence == sequence))
    }

    /// The header of the page with this number, if it is there and good.
    pub(super) async fn find_header(
        &mut self,
        sequence: u64,
    ) -> Result<Option<PageHeader>, FlashError> {
        let header = self.header(self.page_of(sequence)).await?.ok();
        Ok(header.filter(|header| header.label.sequence == sequence))
    }

    pub(super) async fn program_header(&mut self, header: &PageHeader) -> Result<(), FlashError> {
        let mut bytes = [0xff; HEADER_LEN + WORD_MAX];
        if let Some(start) = bytes.first_chunk_mut() {
            *start = header.encode();
        }
        let len = self.header_len();
        self.program(header.index, 0, bytes.get(..len).unwrap_or_default()).await
    }
}
