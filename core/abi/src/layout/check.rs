//! Whether bytes are one canonical value.

use alloc::{boxed::Box, format};

use super::{
    FieldLayout, Layout, LayoutError, LayoutFault, Leaf, Node, Step, VariantLayout, What, array,
    canonical_32, canonical_64, is_utf8, span,
};

type Checked<T = ()> = Result<T, Box<LayoutError>>;

impl Layout {
    /// Checks that `bytes` are exactly one canonical value. NaNs are replaced
    /// by the canonical one, in place.
    ///
    /// A [plain](Layout::is_plain) value is checked by its length alone.
    ///
    /// # Errors
    ///
    /// When they are not; the error names the place. Some NaNs may have been
    /// replaced by then.
    #[inline]
    pub fn check(&self, bytes: &mut [u8]) -> Result<(), LayoutError> {
        if self.plain && bytes.len() == self.size() {
            return Ok(());
        }
        self.check_slots(u32::from(self.size), bytes)
    }

    /// Checks that `bytes` are a value of a struct of the first `columns`
    /// fields of this one.
    pub(crate) fn check_columns(
        &self,
        columns: usize,
        bytes: &mut [u8],
    ) -> Result<(), LayoutError> {
        let next = self.fields().get(columns);
        self.check_slots(next.map_or(u32::from(self.size), |field| field.offset), bytes)
    }

    /// Checks a value of which only the fields in the first `size` bytes are
    /// there.
    fn check_slots(&self, size: u32, bytes: &mut [u8]) -> Result<(), LayoutError> {
        let expected = size as usize;
        let found = bytes.len();
        if found < expected {
            return Err(*LayoutError::boxed(found, LayoutFault::Length { expected, found }));
        }
        let mut walk = Check { bytes, cursor: expected };
        let walked = match self.node() {
            Node::Struct(_, fields) => {
                let end = self.checks().partition_point(|step| u32::from(step.at) < size);
                walk.steps(self, self.checks().get(..end).unwrap_or_default(), fields, 0)
            }
            _ => walk.node(self, 0),
        };
        walked.map_err(|error| *error)?;
        if walk.cursor != found {
            let fault = LayoutFault::Length { expected: walk.cursor, found };
            return Err(*LayoutError::boxed(walk.cursor, fault));
        }
        Ok(())
    }

    /// The error of bytes that turned out not to be a value of this layout
    /// where a checked one was due.
    #[cold]
    pub(crate) fn refuse(&self, bytes: &[u8]) -> LayoutError {
        let end =
            LayoutError { path: Default::default(), at: bytes.len(), fault: LayoutFault::End };
        self.check(&mut bytes.to_vec()).err().unwrap_or(end)
    }
}

/// A walk over a value whose cursor is where the next content has to be.
/// Invariant: `cursor <= bytes.len()`.
struct Check<'a> {
    bytes: &'a mut [u8],
    cursor: usize,
}

impl Check<'_> {
    fn node(&mut self, layout: &Layout, at: usize) -> Checked {
        match layout.node() {
            Node::Leaf(leaf) => self.leaf(leaf, at),
            Node::Struct(_, fields) => self.steps(layout, layout.checks(), fields, at),
            Node::Option(inner) => self.option(inner, at),
            Node::List(inner) => self.list(inner, at),
            Node::Enum(variants) => self.payload(variants, at),
        }
    }

    /// Walks `steps` of the struct `layout`, which starts at `base`.
    #[inline]
    fn steps(
        &mut self,
        layout: &Layout,
        steps: &[Step],
        fields: &[FieldLayout],
        base: usize,
    ) -> Checked {
        for step in steps {
            let at = base + usize::from(step.at);
            match step.what {
                What::Leaf(leaf) => {
                    self.leaf(leaf, at)
                        .map_err(|error| error.within(&layout.path_at(step.at.into())))?;
                }
                What::Field => {
                    if let Some(field) = fields.get(usize::from(step.field)) {
                        self.node(&field.layout, at).map_err(|error| error.within(&field.name))?;
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn leaf(&mut self, leaf: Leaf, at: usize) -> Checked {
        match leaf {
            Leaf::Bool => self.bool(at).map(|_| ()),
            Leaf::Tag(variants) => self.tag(at, usize::from(variants)).map(|_| ()),
            Leaf::F32 => {
                let bits = u32::from_le_bytes(self.array(at)?);
                if canonical_32(bits) != bits {
                    self.replace(at, canonical_32(bits).to_le_bytes());
                }
                Ok(())
            }
            Leaf::F64 => {
                let bits = u64::from_le_bytes(self.array(at)?);
                if canonical_64(bits) != bits {
                    self.replace(at, canonical_64(bits).to_le_bytes());
                }
                Ok(())
            }
            Leaf::Bytes => self.take(at, 1).map(|_| ()),
            Leaf::String => {
                let (start, _) = self.take(at, 1)?;
                let text = self.bytes.get(start..self.cursor).unwrap_or_default();
                match is_utf8(text) {
                    true => Ok(()),
                    false => Err(LayoutError::boxed(start, LayoutFault::Utf8)),
                }
            }
            Leaf::U8
            | Leaf::U16
            | Leaf::U32
            | Leaf::U64
            | Leaf::U128
            | Leaf::I8
            | Leaf::I16
            | Leaf::I32
            | Leaf::I64
            | Leaf::I128 => Ok(()),
        }
    }

    fn option(&mut self, inner: &Layout, at: usize) -> Checked {
        if self.bool(at)? {
            return if inner.plain { Ok(()) } else { self.node(inner, at + 1) };
        }
        let slot = self.bytes.get(at + 1..at + 1 + inner.size()).unwrap_or_default();
        match slot.iter().any(|&byte| byte != 0) {
            true => Err(LayoutError::boxed(at, LayoutFault::NotZero)),
            false => Ok(()),
        }
    }

    fn list(&mut self, inner: &Layout, at: usize) -> Checked {
        let (start, count) = self.take(at, inner.size())?;
        if inner.plain {
            return Ok(());
        }
        for index in 0..count {
            self.node(inner, start + index * inner.size())
                .map_err(|error| error.within(&format!("[{index}]")))?;
        }
        Ok(())
    }

    fn payload(&mut self, variants: &[VariantLayout], at: usize) -> Checked {
        let tag = self.tag(at, variants.len())?;
        let found = u32::from_le_bytes(self.array(at + 1)?) as usize;
        let start = self.expect(at, found)?;
        let Some(variant) = variants.get(usize::from(tag)) else { return Ok(()) };
        self.advance(at, variant.fields.size())?;
        self.node(&variant.fields, start).map_err(|error| error.within(&variant.name))
    }

    /// The content of a slot with `size` bytes per count: where it starts, and
    /// the count. The cursor moves over it.
    #[inline]
    fn take(&mut self, at: usize, size: usize) -> Checked<(usize, usize)> {
        let Some((found, count)) = span(self.bytes, at) else { return Err(end(at)) };
        let start = self.expect(at, found)?;
        let Some(len) = count.checked_mul(size) else { return Err(end(at)) };
        self.advance(at, len)?;
        Ok((start, count))
    }

    #[inline]
    fn expect(&self, at: usize, found: usize) -> Checked<usize> {
        let expected = self.cursor;
        if found != expected {
            return Err(LayoutError::boxed(at, LayoutFault::Offset { expected, found }));
        }
        Ok(found)
    }

    #[inline]
    fn advance(&mut self, at: usize, len: usize) -> Checked {
        if len > self.bytes.len() - self.cursor {
            return Err(end(at));
        }
        self.cursor += len;
        Ok(())
    }

    #[inline]
    fn bool(&self, at: usize) -> Checked<bool> {
        match self.array(at)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(LayoutError::boxed(at, LayoutFault::Boolean(found))),
        }
    }

    #[inline]
    fn tag(&self, at: usize, variants: usize) -> Checked<u8> {
        let [found] = self.array(at)?;
        if usize::from(found) >= variants {
            return Err(LayoutError::boxed(at, LayoutFault::Tag { found, variants }));
        }
        Ok(found)
    }

    #[inline]
    fn array<const N: usize>(&self, at: usize) -> Checked<[u8; N]> {
        array(self.bytes, at).ok_or_else(|| end(at))
    }

    #[cold]
    fn replace<const N: usize>(&mut self, at: usize, with: [u8; N]) {
        if let Some(slot) = self.bytes.get_mut(at..at + N) {
            slot.copy_from_slice(&with);
        }
    }
}

#[cold]
fn end(at: usize) -> Box<LayoutError> {
    LayoutError::boxed(at, LayoutFault::End)
}
