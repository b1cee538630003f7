//! Vectors that grow, or say that there is no memory for it.

use alloc::vec::Vec;

/// Appends some items. `None`: there is no memory for them, and nothing has changed.
pub(crate) fn extend<T: Copy>(vec: &mut Vec<T>, items: &[T]) -> Option<()> {
    reserve(vec, items.len())?;
    vec.extend_from_slice(items);
    Some(())
}

/// As [`extend`], by zeros.
pub(crate) fn extend_zeros(vec: &mut Vec<u8>, count: usize) -> Option<()> {
    reserve(vec, count)?;
    vec.resize(vec.len() + count, 0);
    Some(())
}

/// Sees to it that so many more items have room.
#[inline]
pub(crate) fn reserve<T>(vec: &mut Vec<T>, more: usize) -> Option<()> {
    vec.try_reserve(more).ok()?;
    // It is so. To ask shows the optimizer that what follows does not allocate.
    (vec.capacity() - vec.len() >= more).then_some(())
}
