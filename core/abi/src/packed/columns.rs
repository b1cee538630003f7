//! Rows packed by columns.
//!
//! A mask has bit 0 for the first column; rows have at most 64.

use alloc::vec::Vec;

use super::{Pack, unpack::Unpack};
use crate::{
    bytes::{DecodeError, DecodeFault, Reader},
    layout::{FieldLayout, Layout, LayoutError, Node, array, content, elements},
};

/// The columns in which two rows of the same layout differ.
pub fn changed_columns(layout: &Layout, old: &[u8], new: &[u8]) -> u64 {
    let mut mask = 0;
    for (index, column) in layout.fields().iter().enumerate().take(64) {
        let at = column.offset as usize;
        if !equal(&column.layout, (old, at), (new, at)).unwrap_or(false) {
            mask |= 1 << index;
        }
    }
    mask
}

/// Appends the packed form of the columns in `mask` of a row that was
/// [checked](Layout::check).
///
/// # Errors
///
/// As [`pack`](super::pack).
pub fn pack_columns(
    layout: &Layout,
    row: &[u8],
    mask: u64,
    out: &mut Vec<u8>,
) -> Result<(), LayoutError> {
    let start = out.len();
    let mut walk = Pack { value: row, out };
    for column in masked(layout.fields(), mask) {
        if walk.node(&column.layout, column.offset as usize).is_none() {
            out.truncate(start);
            return Err(layout.refuse(row));
        }
    }
    Ok(())
}

/// Reads the packed columns in `mask` and appends, in layout form, the row
/// `old` with these columns replaced. `old` was [checked](Layout::check).
///
/// # Errors
///
/// When the input does not hold these columns, the mask names a column that
/// the row does not have, or the row is longer than `limit`; then `out` is as
/// before.
pub fn merge_columns(
    layout: &Layout,
    old: &[u8],
    mask: u64,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), DecodeError> {
    let fields = layout.fields();
    if mask.checked_shr(fields.len() as u32).is_some_and(|rest| rest != 0) {
        return Err(reader.fault(DecodeFault::Column));
    }
    let start = out.len();
    let mut walk = Merge { old, new: Unpack::new(reader, out, limit) };
    let merged = if masked(fields, mask).all(|column| column.layout.is_fixed()) {
        walk.slots(fields, mask)
    } else {
        walk.row(layout, fields, mask)
    };
    if merged.is_err() {
        out.truncate(start);
    }
    merged
}

/// The fields whose bits are in `mask`, in order.
fn masked(fields: &[FieldLayout], mut mask: u64) -> impl Iterator<Item = &FieldLayout> {
    core::iter::from_fn(move || {
        let field = fields.get(mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(field)
    })
}

struct Merge<'a, 'b> {
    old: &'a [u8],
    new: Unpack<'a, 'b>,
}

impl Merge<'_, '_> {
    /// The tail stays as it is: only slots are replaced.
    fn slots(&mut self, fields: &[FieldLayout], mask: u64) -> Result<(), DecodeError> {
        let start = self.new.extend(self.old)?;
        for column in masked(fields, mask) {
            let at = start + column.offset as usize;
            if let Some(slot) = self.new.out.get_mut(at..at + column.layout.size()) {
                slot.fill(0);
            }
            self.new.node(&column.layout, at)?;
        }
        Ok(())
    }

    fn row(
        &mut self,
        layout: &Layout,
        fields: &[FieldLayout],
        mask: u64,
    ) -> Result<(), DecodeError> {
        let start = self.new.grow(layout.size())?;
        for (index, column) in fields.iter().enumerate() {
            let at = column.offset as usize;
            if mask >> index & 1 == 1 {
                self.new.node(&column.layout, start + at)?;
            } else {
                self.copy(&column.layout, at, start + at)?;
            }
        }
        Ok(())
    }

    /// Copies a value with its tail, which moves, from the old row.
    fn copy(&mut self, layout: &Layout, from: usize, to: usize) -> Result<(), DecodeError> {
        let old = self.old;
        if layout.is_fixed() {
            let slot = self.there(old.get(from..from + layout.size()))?;
            if let Some(target) = self.new.out.get_mut(to..to + slot.len()) {
                target.copy_from_slice(slot);
            }
            return Ok(());
        }
        match layout.node() {
            Node::Leaf(_) => {
                let content = self.there(content(old, from))?;
                self.new.append(to, content)
            }
            Node::Struct(_, fields) => fields.iter().try_for_each(|field| {
                let at = field.offset as usize;
                self.copy(&field.layout, from + at, to + at)
            }),
            Node::Option(inner) => {
                let tag = self.there(array::<1>(old, from))?;
                self.new.put(to, tag);
                if tag == [0] { Ok(()) } else { self.copy(inner, from + 1, to + 1) }
            }
            Node::List(inner) => {
                let size = inner.size();
                let (first, count) = self.there(elements(old, from, size))?;
                self.new.put_span(to, count);
                if inner.is_fixed() {
                    let slots = self.there(old.get(first..first + count * size))?;
                    return self.new.extend(slots).map(|_| ());
                }
                let target = self.new.grow(count * size)?;
                (0..count).try_for_each(|index| {
                    self.copy(inner, first + index * size, target + index * size)
                })
            }
            Node::Enum(variants) => {
                let [tag] = self.there(array(old, from))?;
                let payload = u32::from_le_bytes(self.there(array(old, from + 1))?);
                let fields = &self.there(variants.get(usize::from(tag)))?.fields;
                self.new.put_payload(to, tag);
                let target = self.new.grow(fields.size())?;
                self.copy(fields, payload as usize, target)
            }
        }
    }

    /// What was found in the old row; an error where it turns out not to be one.
    fn there<T>(&self, found: Option<T>) -> Result<T, DecodeError> {
        found.ok_or_else(|| self.new.reader.fault(DecodeFault::UnexpectedEnd))
    }
}

/// Whether two values are equal, each given by the bytes it is in and the
/// place of its slot there. `None` where one is not a value of the layout.
///
/// Equal tails may lie at different offsets, so bytes alone do not tell.
fn equal(layout: &Layout, old: (&[u8], usize), new: (&[u8], usize)) -> Option<bool> {
    if layout.is_fixed() {
        return equal_slots(old, new, layout.size());
    }
    let both = |inner: &Layout, at: usize| equal(inner, (old.0, old.1 + at), (new.0, new.1 + at));
    match layout.node() {
        Node::Leaf(_) => Some(content(old.0, old.1)? == content(new.0, new.1)?),
        Node::Struct(_, fields) => {
            for field in fields {
                if !both(&field.layout, field.offset as usize)? {
                    return Some(false);
                }
            }
            Some(true)
        }
        Node::Option(inner) => match (old.0.get(old.1)?, new.0.get(new.1)?) {
            (0, 0) => Some(true),
            (1, 1) => both(inner, 1),
            _ => Some(false),
        },
        Node::List(inner) => {
            let size = inner.size();
            let (old_first, count) = elements(old.0, old.1, size)?;
            let (new_first, new_count) = elements(new.0, new.1, size)?;
            if count != new_count {
                return Some(false);
            }
            if inner.is_fixed() {
                return equal_slots((old.0, old_first), (new.0, new_first), count * size);
            }
            for at in (0..count).map(|index| index * size) {
                if !equal(inner, (old.0, old_first + at), (new.0, new_first + at))? {
                    return Some(false);
                }
            }
            Some(true)
        }
        Node::Enum(variants) => {
            let (old_tag, new_tag) = (*old.0.get(old.1)?, *new.0.get(new.1)?);
            if old_tag != new_tag {
                return Some(false);
            }
            let old_payload = u32::from_le_bytes(array(old.0, old.1 + 1)?) as usize;
            let new_payload = u32::from_le_bytes(array(new.0, new.1 + 1)?) as usize;
            let fields = &variants.get(usize::from(old_tag))?.fields;
            equal(fields, (old.0, old_payload), (new.0, new_payload))
        }
    }
}

#[inline]
fn equal_slots(old: (&[u8], usize), new: (&[u8], usize), len: usize) -> Option<bool> {
    // Numbers are compared as such, without a call of the library.
    Some(match len {
        8 => array::<8>(old.0, old.1)? == array::<8>(new.0, new.1)?,
        4 => array::<4>(old.0, old.1)? == array::<4>(new.0, new.1)?,
        1 => old.0.get(old.1)? == new.0.get(new.1)?,
        _ => old.0.get(old.1..)?.get(..len)? == new.0.get(new.1..)?.get(..len)?,
    })
}
