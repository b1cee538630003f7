//! Packed bytes -> value. The bytes are untrusted.

use alloc::vec::Vec;

use crate::{
    bytes::{DecodeError, DecodeFault, Reader, unzigzag, unzigzag_i128},
    layout::{Layout, Leaf, Node, What, canonical_32, canonical_64},
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
            Node::Struct(steps, fields) => {
                for step in steps {
                    let at = at + step.at as usize;
                    match step.what {
                        What::Leaf(leaf) => self.leaf(leaf, at)?,
                        What::Field(index) => {
                            if let Some(field) = fields.get(usize::from(index)) {
                                self.node(&field.layout, at)?;
                            }
                        }
                    }
                }
                Ok(())
            }
            Node::Option(inner) => {
                if self.reader.bool()? {
                    self.put(at, [1]);
                    self.node(inner, at + 1)?;
                }
                Ok(())
            }
            Node::List(inner) => self.list(inner, at),
            Node::Enum(variants) => {
                let tag = self.tag(variants.len())?;
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

    #[inline]
    fn leaf(&mut self, leaf: Leaf, at: usize) -> Result<(), DecodeError> {
        match leaf {
            Leaf::Bool => {
                let value = self.reader.bool()?;
                self.put(at, [value.into()]);
            }
            Leaf::U8 | Leaf::I8 => {
                let value = self.reader.byte()?;
                self.put(at, [value]);
            }
            Leaf::Tag(variants) => {
                let tag = self.tag(usize::from(variants))?;
                self.put(at, [tag]);
            }
            Leaf::U16 => {
                let value = self.varint::<u16>()?;
                self.put(at, value.to_le_bytes());
            }
            Leaf::U32 => {
                let value = self.varint::<u32>()?;
                self.put(at, value.to_le_bytes());
            }
            Leaf::U64 => {
                let value = self.reader.varint_u64()?;
                self.put(at, value.to_le_bytes());
            }
            Leaf::U128 => {
                let value = self.reader.varint(128)?;
                self.put(at, value.to_le_bytes());
            }
            Leaf::I16 => {
                let value = unzigzag(self.varint::<u16>()?.into());
                self.put(at, (value as i16).to_le_bytes());
            }
            Leaf::I32 => {
                let value = unzigzag(self.varint::<u32>()?.into());
                self.put(at, (value as i32).to_le_bytes());
            }
            Leaf::I64 => {
                let value = unzigzag(self.reader.varint_u64()?);
                self.put(at, value.to_le_bytes());
            }
            Leaf::I128 => {
                let value = unzigzag_i128(self.reader.varint(128)?);
                self.put(at, value.to_le_bytes());
            }
            Leaf::F32 => {
                let bits = u32::from_le_bytes(self.reader.array()?);
                self.put(at, canonical_32(bits).to_le_bytes());
            }
            Leaf::F64 => {
                let bits = u64::from_le_bytes(self.reader.array()?);
                self.put(at, canonical_64(bits).to_le_bytes());
            }
            Leaf::String => {
                let text = self.reader.str()?;
                self.append(at, text.as_bytes())?;
            }
            Leaf::Bytes => {
                let bytes = self.reader.bytes()?;
                self.append(at, bytes)?;
            }
        }
        Ok(())
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
        for index in 0..count {
            self.node(inner, first + index * inner.size())?;
        }
        Ok(())
    }

    fn tag(&mut self, variants: usize) -> Result<u8, DecodeError> {
        let fault = self.reader.fault(DecodeFault::Tag);
        let tag = self.reader.varint_u32()?;
        // An enum has at most 128 variants.
        if tag as usize >= variants { Err(fault) } else { Ok(tag as u8) }
    }

    #[inline]
    fn varint<T: TryFrom<u64>>(&mut self) -> Result<T, DecodeError> {
        let fault = self.reader.fault(DecodeFault::Varint);
        T::try_from(self.reader.varint_u64()?).map_err(|_| fault)
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
        self.put(at, span.to_le_bytes());
    }

    /// Writes the slot at `at` of an enum whose payload is appended next.
    pub(super) fn put_payload(&mut self, at: usize, tag: u8) {
        self.put(at, [tag]);
        self.put(at + 1, self.offset().to_le_bytes());
    }

    #[inline]
    pub(super) fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(slot) = self.out.get_mut(at..at + N) {
            slot.copy_from_slice(&bytes);
        }
    }
}
