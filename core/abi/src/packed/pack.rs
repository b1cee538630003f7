//! Value -> packed bytes. The value was checked.

use alloc::vec::Vec;

use crate::{
    bytes::{write_bytes, write_varint_u64, write_varint_u128, zigzag, zigzag_i128},
    layout::{
        FieldLayout, Layout, LayoutError, Leaf, Node, Step, What, array, content, elements, payload,
    },
};

pub(super) fn pack(layout: &Layout, value: &[u8], out: &mut Vec<u8>) -> Result<(), LayoutError> {
    let start = out.len();
    match (Pack { value, out }).node(layout, 0) {
        Some(()) => Ok(()),
        None => {
            out.truncate(start);
            Err(layout.refuse(value))
        }
    }
}

/// Appends packed values. `None` where the value is not one of the layout.
pub(super) struct Pack<'a> {
    pub(super) value: &'a [u8],
    pub(super) out: &'a mut Vec<u8>,
}

impl Pack<'_> {
    fn node(&mut self, layout: &Layout, at: usize) -> Option<()> {
        match layout.node() {
            Node::Leaf(leaf) => self.leaf(leaf, at),
            Node::Struct(steps, fields) => self.steps(steps.iter(), fields, at),
            Node::Option(inner) => {
                let tag = *self.value.get(at)?;
                self.out.push(tag);
                if tag == 0 { Some(()) } else { self.node(inner, at + 1) }
            }
            Node::List(inner) => self.list(inner, at),
            Node::Enum(variants) => {
                let (tag, start) = payload(self.value, at)?;
                self.out.push(tag);
                self.node(&variants.get(usize::from(tag))?.fields, start)
            }
        }
    }

    /// Steps of a struct that starts at `base`.
    #[inline]
    pub(super) fn steps<'a>(
        &mut self,
        steps: impl Iterator<Item = &'a Step>,
        fields: &[FieldLayout],
        base: usize,
    ) -> Option<()> {
        let mut numbers = Numbers::new();
        for step in steps {
            let at = base + usize::from(step.at);
            match step.what {
                What::Leaf(leaf) if Numbers::takes(leaf) => {
                    numbers.make_room(self.out);
                    numbers.push(leaf, self.value, at)?;
                }
                What::Leaf(leaf) => {
                    numbers.flush(self.out);
                    self.leaf(leaf, at)?;
                }
                What::Field => {
                    numbers.flush(self.out);
                    self.node(&fields.get(usize::from(step.field))?.layout, at)?;
                }
            }
        }
        numbers.flush(self.out);
        Some(())
    }

    fn leaf(&mut self, leaf: Leaf, at: usize) -> Option<()> {
        match leaf {
            Leaf::String | Leaf::Bytes => write_bytes(self.out, content(self.value, at)?),
            Leaf::U128 => {
                write_varint_u128(self.out, u128::from_le_bytes(array(self.value, at)?));
            }
            Leaf::I128 => {
                let value = i128::from_le_bytes(array(self.value, at)?);
                write_varint_u128(self.out, zigzag_i128(value));
            }
            leaf => {
                let mut numbers = Numbers::new();
                numbers.push(leaf, self.value, at)?;
                numbers.flush(self.out);
            }
        }
        Some(())
    }

    fn list(&mut self, inner: &Layout, at: usize) -> Option<()> {
        let (start, count) = elements(self.value, at, inner.size())?;
        write_varint_u64(self.out, count as u64);
        let mut elements = (0..count).map(|index| start + index * inner.size());
        match inner.node() {
            Node::Leaf(Leaf::U8 | Leaf::I8 | Leaf::Bool | Leaf::Tag(_)) => {
                self.out.extend_from_slice(self.value.get(start..start + count)?);
                Some(())
            }
            Node::Leaf(leaf) if Numbers::takes(leaf) => {
                let mut numbers = Numbers::new();
                for at in elements {
                    numbers.make_room(self.out);
                    numbers.push(leaf, self.value, at)?;
                }
                numbers.flush(self.out);
                Some(())
            }
            _ => elements.try_for_each(|at| self.node(inner, at)),
        }
    }
}

/// Packed numbers on their way to the output. Growing that number by number
/// takes longer than packing them.
struct Numbers {
    bytes: [u8; Numbers::ROOM + Numbers::LONGEST],
    len: usize,
}

impl Numbers {
    const ROOM: usize = 64;
    /// The longest of the numbers that are taken.
    const LONGEST: usize = 10;

    #[inline(always)]
    fn new() -> Self {
        Self { bytes: [0; Self::ROOM + Self::LONGEST], len: 0 }
    }

    /// Whether it takes leaves of this type: all numbers of up to 64 bits.
    #[inline(always)]
    fn takes(leaf: Leaf) -> bool {
        !matches!(leaf, Leaf::String | Leaf::Bytes | Leaf::U128 | Leaf::I128)
    }

    // A call would cost more than what these three do.

    #[inline(always)]
    fn make_room(&mut self, out: &mut Vec<u8>) {
        if self.len > Self::ROOM {
            self.flush(out);
        }
    }

    #[inline(always)]
    fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes.get(..self.len).unwrap_or_default());
        self.len = 0;
    }

    /// Packs the number at `at` of `value`. There has to be room for it.
    #[inline(always)]
    fn push(&mut self, leaf: Leaf, value: &[u8], at: usize) -> Option<()> {
        match leaf {
            Leaf::Bool | Leaf::U8 | Leaf::I8 | Leaf::Tag(_) => {
                self.put(array::<1>(value, at)?);
            }
            Leaf::U16 => self.varint(u16::from_le_bytes(array(value, at)?)),
            Leaf::U32 => self.varint(u32::from_le_bytes(array(value, at)?)),
            Leaf::U64 => self.varint(u64::from_le_bytes(array(value, at)?)),
            Leaf::I16 => self.varint(zigzag(i16::from_le_bytes(array(value, at)?).into())),
            Leaf::I32 => self.varint(zigzag(i32::from_le_bytes(array(value, at)?).into())),
            Leaf::I64 => self.varint(zigzag(i64::from_le_bytes(array(value, at)?))),
            Leaf::F32 => self.put(array::<4>(value, at)?),
            Leaf::F64 => self.put(array::<8>(value, at)?),
            // Not taken.
            Leaf::U128 | Leaf::I128 | Leaf::String | Leaf::Bytes => return None,
        }
        Some(())
    }

    #[inline(always)]
    fn varint(&mut self, value: impl Into<u64>) {
        let mut value = value.into();
        while value >= 0x80 {
            self.put([value as u8 | 0x80]);
            value >>= 7;
        }
        self.put([value as u8]);
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + N) {
            room.copy_from_slice(&bytes);
            self.len += N;
        }
    }
}
