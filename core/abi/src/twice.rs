//! What is twice in a list.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Two places of a list of `len` items that compare as equal, if there are any: the
/// earlier one first.
// Not generic: a sort is more than a KiB of a device's code.
#[inline(never)]
pub fn twice(
    len: usize,
    compare: &mut dyn FnMut(usize, usize) -> Ordering,
) -> Option<(usize, usize)> {
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_unstable_by(|a, b| compare(*a, *b).then(a.cmp(b)));
    let mut pairs = order.iter().zip(order.iter().skip(1));
    pairs.find(|(a, b)| compare(**a, **b).is_eq()).map(|(a, b)| (*a, *b))
}
