//! Packed bytes -> value. The bytes are untrusted.

use alloc::vec::Vec;

use crate::{
    bytes::{DecodeError, DecodeFault, Reader, unzigzag, unzigzag_i128},
    layout::{FieldLayout, Layout, Leaf, Node, Step, What, canonical_32, canonical_64, is_utf8},
};

pub(super) fn unpack(
    layout: &Layout,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), DecodeError> {
    let start = out.len();
    let mut walk = Unpack::new(reader, out, limit);
    let unpacked = walk.grow(layout.size()).and_then(|at| walk.node(layout, at));
    if unpacked.is_err() {
        out.truncate(start);
    }
    unpacked
}

/// Reads packed values into slots that are there already and zero.
pub(super) struct Unpack<'a, 'b> {
    pub(super) reader: &'a mut Reader<'b>,
    pub(super) out: &'a mut Vec<u8>,
    /// Where the value starts in `out`.
    start: usize,
    /// The length that `out` must not exceed.
    end: usize,
}

impl<'a, 'b> Unpack<'a, 'b> {
    pub(super) fn new(reader: &'a mut Reader<'b>, out: &'a mut Vec<u8>, limit: usize) -> Self {
        let start = out.len();
        // Offsets have 32 bits.
        let end = start.saturating_add(limit.min(u32::MAX as usize));
        Self { reader, out, start, end }
    }

    pub(super) fn node(&mut self, layout: &Layout, at: usize) -> Result<(), DecodeError> {
        match layout.node() {
            Node::Leaf(leaf) => self.leaf(leaf, at),
            Node::Struct(steps, fields) => self.steps(steps, fields, at),
            Node::Option(inner) => {
                if self.reader.bool()? {
                    put(self.out, at, [1]);
                    self.node(inner, at + 1)?;
                }
                Ok(())
            }
            Node::List(inner) => self.list(inner, at),
            Node::Enum(variants) => {
                let tag = tag(self.reader, variants.len())?;
                self.put_payload(at, tag);
                match variants.get(usize::from(tag)) {
                    Some(variant) => {
                        let at = self.grow(variant.fields.size())?;
                        self.node(&variant.fields, at)
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// Steps of a struct that starts at `base`.
    fn steps(
        &mut self,
        steps: &[Step],
        fields: &[FieldLayout],
        base: usize,
    ) -> Result<(), DecodeError> {
        let mut steps = steps.iter();
        loop {
            // Numbers one behind the other are read with a reader in registers.
            let mut reader = self.reader.clone();
            let slots = self.out.get_mut(base..).unwrap_or_default();
            let other = loop {
                match steps.next() {
                    Some(&Step { at, what: What::Leaf(leaf), .. }) if !leaf.has_tail() => {
                        number(leaf, &mut reader, slots, at.into())?;
                    }
                    other => break other,
                }
            };
            *self.reader = reader;
            match other {
                Some(step) => self.step(step, fields, base)?,
                None => return Ok(()),
            }
        }
    }

    /// A step in a struct that starts at `base`. Its slot need not be zero.
    pub(super) fn step(
        &mut self,
        step: &Step,
        fields: &[FieldLayout],
        base: usize,
    ) -> Result<(), DecodeError> {
        let at = base + usize::from(step.at);
        match (step.what, fields.get(usize::from(step.field))) {
            (What::Leaf(leaf), _) => self.leaf(leaf, at),
            (What::Field, Some(field)) => {
                if let Some(slot) = self.out.get_mut(at..at + field.layout.size()) {
                    slot.fill(0);
                }
                self.node(&field.layout, at)
            }
            (What::Field, None) => Ok(()),
        }
    }

    fn leaf(&mut self, leaf: Leaf, at: usize) -> Result<(), DecodeError> {
        match leaf {
            Leaf::String => {
                let start = self.reader.position();
                let text = self.reader.bytes()?;
                if !is_utf8(text) {
                    return Err(DecodeError { at: start, fault: DecodeFault::Utf8 });
                }
                self.append(at, text)
            }
            Leaf::Bytes => {
                let bytes = self.reader.bytes()?;
                self.append(at, bytes)
            }
            leaf => number(leaf, self.reader, self.out, at),
        }
    }

    fn list(&mut self, inner: &Layout, at: usize) -> Result<(), DecodeError> {
        let count = self.reader.varint_u32()? as usize;
        // Enough input for the claimed count has to be there, whatever it is,
        // before there is room for it.
        let least = count.checked_mul(inner.packed_min());
        if least.is_none_or(|least| least > self.reader.remaining()) {
            return Err(self.reader.fault(DecodeFault::UnexpectedEnd));
        }
        if let Node::Leaf(Leaf::U8 | Leaf::I8) = inner.node() {
            let bytes = self.reader.take(count)?;
            return self.append(at, bytes);
        }
        let Some(len) = count.checked_mul(inner.size()) else {
            return Err(self.reader.fault(DecodeFault::TooLarge));
        };
        self.put_span(at, count);
        let first = self.grow(len)?;
        let mut elements = (0..count).map(|index| first + index * inner.size());
        match inner.node() {
            Node::Leaf(leaf) if !leaf.has_tail() => {
                let mut reader = self.reader.clone();
                elements.try_for_each(|at| number(leaf, &mut reader, self.out, at))?;
                *self.reader = reader;
                Ok(())
            }
            _ => elements.try_for_each(|at| self.node(inner, at)),
        }
    }

    /// The offset of what is appended next. It fits, because `end` does.
    #[inline]
    fn offset(&self) -> u32 {
        (self.out.len() - self.start) as u32
    }

    /// Appends `len` zero bytes and returns where.
    #[inline]
    pub(super) fn grow(&mut self, len: usize) -> Result<usize, DecodeError> {
        let at = self.out.len();
        if len > self.end - at {
            return Err(self.reader.fault(DecodeFault::TooLarge));
        }
        self.out.resize(at + len, 0);
        Ok(at)
    }

    /// Appends `content` to the tail, and its place to the slot at `at`.
    #[inline]
    pub(super) fn append(&mut self, at: usize, content: &[u8]) -> Result<(), DecodeError> {
        self.put_span(at, content.len());
        self.extend(content).map(|_| ())
    }

    /// Appends `bytes` and returns where.
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        let at = self.out.len();
        if bytes.len() > self.end - at {
            return Err(self.reader.fault(DecodeFault::TooLarge));
        }
        self.out.extend_from_slice(bytes);
        Ok(at)
    }

    /// Writes the slot at `at` of `count` things that are appended next.
    #[inline]
    pub(super) fn put_span(&mut self, at: usize, count: usize) {
        let span = u64::from(self.offset()) | (count as u64) << 32;
        put(self.out, at, span.to_le_bytes());
    }

    /// Writes the slot at `at` of an enum whose payload is appended next.
    pub(super) fn put_payload(&mut self, at: usize, tag: u8) {
        let offset = self.offset();
        put(self.out, at, [tag]);
        put(self.out, at + 1, offset.to_le_bytes());
    }
}

/// Reads a leaf without a tail into the slot at `at`.
// A call would cost as much as it does.
#[inline(always)]
fn number(
    leaf: Leaf,
    reader: &mut Reader<'_>,
    out: &mut [u8],
    at: usize,
) -> Result<(), DecodeError> {
    match leaf {
        Leaf::Bool => put(out, at, [reader.bool()?.into()]),
        Leaf::U8 | Leaf::I8 => put(out, at, [reader.byte()?]),
        Leaf::Tag(variants) => put(out, at, [tag(reader, variants.into())?]),
        Leaf::U16 => put(out, at, varint::<u16>(reader)?.to_le_bytes()),
        Leaf::U32 => put(out, at, varint::<u32>(reader)?.to_le_bytes()),
        Leaf::U64 => put(out, at, reader.varint_u64()?.to_le_bytes()),
        Leaf::I16 => {
            let value = unzigzag(varint::<u16>(reader)?.into());
            put(out, at, (value as i16).to_le_bytes());
        }
        Leaf::I32 => {
            let value = unzigzag(varint::<u32>(reader)?.into());
            put(out, at, (value as i32).to_le_bytes());
        }
        Leaf::I64 => put(out, at, unzigzag(reader.varint_u64()?).to_le_bytes()),
        Leaf::U128 => put(out, at, reader.varint_u128()?.to_le_bytes()),
        Leaf::I128 => put(out, at, unzigzag_i128(reader.varint_u128()?).to_le_bytes()),
        Leaf::F32 => {
            let bits = u32::from_le_bytes(reader.array()?);
            put(out, at, canonical_32(bits).to_le_bytes());
        }
        Leaf::F64 => {
            let bits = u64::from_le_bytes(reader.array()?);
            put(out, at, canonical_64(bits).to_le_bytes());
        }
        // They have a tail.
        Leaf::String | Leaf::Bytes => {}
    }
    Ok(())
}

#[inline]
fn tag(reader: &mut Reader<'_>, variants: usize) -> Result<u8, DecodeError> {
    let start = reader.position();
    match reader.varint_u64()? {
        // An enum has at most 128 variants.
        tag if tag < variants as u64 => Ok(tag as u8),
        _ => Err(DecodeError { at: start, fault: DecodeFault::Tag }),
    }
}

#[inline]
fn varint<T: TryFrom<u64>>(reader: &mut Reader<'_>) -> Result<T, DecodeError> {
    let start = reader.position();
    let fault = |_| DecodeError { at: start, fault: DecodeFault::Varint };
    T::try_from(reader.varint_u64()?).map_err(fault)
}

#[inline]
pub(super) fn put<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(slot) = out.get_mut(at..at + N) {
        slot.copy_from_slice(&bytes);
    }
}
