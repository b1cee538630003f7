//! Rows packed by columns.
//!
//! A mask has bit 0 for the first column; rows have at most 64.

use alloc::vec::Vec;

use super::{
    pack::Pack,
    unpack::{Unpack, put},
};
use crate::{
    bytes::{DecodeError, DecodeFault, Reader},
    layout::{Layout, LayoutError, Leaf, Node, Step, What, array, content, elements, payload},
};

/// The columns in which two rows of the same layout differ.
pub fn changed_columns(layout: &Layout, old: &[u8], new: &[u8]) -> u64 {
    let mut mask = 0;
    for step in layout.steps() {
        let at = usize::from(step.at);
        let equal = match step.what {
            What::Leaf(leaf) => equal_leaves(leaf, (old, at), (new, at)),
            What::Field => equal_fields(layout, step, old, new),
        };
        mask |= u64::from(equal != Some(true)) << (step.field % 64);
    }
    mask
}

fn equal_fields(layout: &Layout, step: &Step, old: &[u8], new: &[u8]) -> Option<bool> {
    let field = layout.fields().get(usize::from(step.field))?;
    let at = usize::from(step.at);
    equal(&field.layout, (old, at), (new, at))
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
    let steps = layout.steps().iter().filter(|step| is_in(mask, step));
    match (Pack { value: row, out }).steps(steps, layout.fields(), 0) {
        Some(()) => Ok(()),
        None => {
            out.truncate(start);
            Err(layout.refuse(row))
        }
    }
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
    if mask.checked_shr(layout.fields().len() as u32).is_some_and(|rest| rest != 0) {
        return Err(reader.fault(DecodeFault::Column));
    }
    let start = out.len();
    let merged = Merge { old, new: Unpack::new(reader, out, limit) }.row(layout, mask);
    if merged.is_err() {
        out.truncate(start);
    }
    merged
}

#[inline]
fn is_in(mask: u64, step: &Step) -> bool {
    mask >> (step.field % 64) & 1 == 1
}

struct Merge<'a, 'b> {
    old: &'a [u8],
    new: Unpack<'a, 'b>,
}

impl Merge<'_, '_> {
    fn row(&mut self, layout: &Layout, mask: u64) -> Result<(), DecodeError> {
        let fields = layout.fields();
        // Where no column with a tail changes, the tail stays as it is.
        let same_tail = mask & layout.tails() == 0;
        let kept = if same_tail { Some(self.old) } else { self.old.get(..layout.size()) };
        let kept = self.there(kept)?;
        let start = self.new.extend(kept)?;
        for step in layout.steps() {
            let at = usize::from(step.at);
            if is_in(mask, step) {
                self.new.step(step, fields, start)?;
            } else if !same_tail {
                match (step.what, fields.get(usize::from(step.field))) {
                    (What::Leaf(leaf), _) if leaf.has_tail() => {
                        let content = self.there(content(self.old, at))?;
                        self.new.append(start + at, content)?;
                    }
                    (What::Field, Some(field)) => self.copy(&field.layout, at, start + at)?,
                    _ => {}
                }
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
                put(self.new.out, to, tag);
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
                let (tag, payload) = self.there(payload(old, from))?;
                let fields = &self.there(variants.get(usize::from(tag)))?.fields;
                self.new.put_payload(to, tag);
                let target = self.new.grow(fields.size())?;
                self.copy(fields, payload, target)
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
        Node::Leaf(leaf) => equal_leaves(leaf, old, new),
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
            let (old_tag, old_payload) = payload(old.0, old.1)?;
            let (new_tag, new_payload) = payload(new.0, new.1)?;
            if old_tag != new_tag {
                return Some(false);
            }
            let fields = &variants.get(usize::from(old_tag))?.fields;
            equal(fields, (old.0, old_payload), (new.0, new_payload))
        }
    }
}

// A call costs more than the comparison.
#[inline(always)]
fn equal_leaves(leaf: Leaf, old: (&[u8], usize), new: (&[u8], usize)) -> Option<bool> {
    Some(match leaf {
        Leaf::Bool | Leaf::Tag(_) | Leaf::U8 | Leaf::I8 => old.0.get(old.1)? == new.0.get(new.1)?,
        Leaf::U16 | Leaf::I16 => array::<2>(old.0, old.1)? == array::<2>(new.0, new.1)?,
        Leaf::U32 | Leaf::I32 | Leaf::F32 => array::<4>(old.0, old.1)? == array::<4>(new.0, new.1)?,
        Leaf::U64 | Leaf::I64 | Leaf::F64 => array::<8>(old.0, old.1)? == array::<8>(new.0, new.1)?,
        Leaf::U128 | Leaf::I128 => array::<16>(old.0, old.1)? == array::<16>(new.0, new.1)?,
        Leaf::String | Leaf::Bytes => content(old.0, old.1)? == content(new.0, new.1)?,
    })
}

fn equal_slots(old: (&[u8], usize), new: (&[u8], usize), len: usize) -> Option<bool> {
    Some(old.0.get(old.1..)?.get(..len)? == new.0.get(new.1..)?.get(..len)?)
}
