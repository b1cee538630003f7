//! Image -> the regions whose pages are in it.

use alloc::vec::Vec;

use super::ImageError;
use crate::{
    flash_log::{
        FLASH_FORMAT_VERSION, Geometry, MountError, PAGE_SIZE_MIN, WORD_MAX,
        page::{HEADER_LEN, LABEL_LEN, Label, PageHeader},
    },
    memory::extend,
};

/// A region in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRegion {
    /// Byte of the image at which it begins.
    pub at: usize,
    /// Its shape, as its pages say.
    pub geometry: Geometry,
}

/// Bytes of a region; more than there can be where that is too much to count.
pub(super) fn region_len(geometry: Geometry) -> usize {
    (geometry.page_size as usize).saturating_mul(geometry.pages.into())
}

/// The regions that are whole in an image and have a page whose header is good, in
/// the order in which those are found. At least one.
pub(super) fn find_regions(image: &[u8]) -> Result<Vec<FoundRegion>, ImageError> {
    let mut regions = Vec::new();
    let (mut cut, mut version) = (None, None);
    for at in (0..image.len()).step_by(PAGE_SIZE_MIN as usize) {
        let header = match image.get(at..).and_then(header) {
            Some(Found::Page(header)) => header,
            Some(Found::Version(found)) => {
                version.get_or_insert(ImageError::Version { at, found });
                continue;
            }
            None => continue,
        };
        let geometry = header.geometry;
        let before = usize::from(header.index).saturating_mul(geometry.page_size as usize);
        let len = region_len(geometry);
        match at.checked_sub(before).filter(|start| image.len() - start >= len) {
            Some(start) => {
                let region = FoundRegion { at: start, geometry };
                if !regions.contains(&region) {
                    let error = MountError::Memory;
                    let memory = ImageError::Mount { at: start, error };
                    extend(&mut regions, &[region]).ok_or(memory)?;
                }
            }
            None => {
                cut.get_or_insert(ImageError::Cut { geometry, page: (at, header.index) });
            }
        }
    }
    match (regions.is_empty(), cut.or(version)) {
        (false, _) => Ok(regions),
        (true, Some(error)) => Err(error),
        (true, None) => Err(ImageError::NoLog { blank: image.iter().all(|byte| *byte == 0xff) }),
    }
}

/// What a page begins with.
enum Found {
    Page(PageHeader),
    /// A label of ours, in a header of another version.
    Version(u16),
}

/// The header at the start of some bytes.
fn header(bytes: &[u8]) -> Option<Found> {
    let bytes = bytes.first_chunk::<HEADER_LEN>()?;
    let version = u16::from_le_bytes(bytes.get(LABEL_LEN..)?.first_chunk().copied()?);
    let pages = u16::from_le_bytes(bytes.get(24..)?.first_chunk().copied()?);
    let index = Label::belongs_to(bytes.first_chunk()?, pages)?;
    match version {
        FLASH_FORMAT_VERSION => {}
        // Power went before more than the label was there.
        u16::MAX => return None,
        _ => return Some(Found::Version(version)),
    }
    let header = PageHeader::decode(bytes, index).ok()?;
    let Geometry { page_size, pages, word } = header.geometry;
    let is_possible = page_size >= PAGE_SIZE_MIN
        && pages >= 2
        && (1..=WORD_MAX).contains(&usize::from(word))
        && index < pages;
    is_possible.then_some(Found::Page(header))
}
