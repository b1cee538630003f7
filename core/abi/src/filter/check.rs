//! Description of a scan -> checked scan. The bytes are untrusted.

use alloc::{borrow::ToOwned, format, vec::Vec};
use core::ops::Bound;

use memchr::memmem::Finder;

use super::{
    Comparison, DEPTH, FilterError, NODES, Scan,
    evaluate::{FAILS, HOLDS, Next, Outcomes, Program, Test, What, unsigned},
    flag, node,
};
use crate::{
    bytes::{DecodeFault, Reader},
    key::{Key, KeyLayout},
    layout::{FieldLayout, Layout, Leaf, Node, array},
};

impl Scan {
    /// Checks the description of a scan of a table with this row and key.
    ///
    /// # Errors
    ///
    /// When it does not decode, or does not fit the table.
    pub fn check(bytes: &[u8], row: &Layout, key: &KeyLayout) -> Result<Self, FilterError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.byte()?;
        let has = |flag: u8| flags & flag != 0;
        if flags >= flag::LIMIT << 1
            || (has(flag::LOWER_EXCLUSIVE) && !has(flag::LOWER))
            || (has(flag::UPPER_EXCLUSIVE) && !has(flag::UPPER))
        {
            return Err(FilterError::Flags(flags));
        }
        let limit = match has(flag::LIMIT) {
            true => Some(u32::from_le_bytes(reader.array()?)),
            false => None,
        };
        let (mut lower, mut upper) = (Bound::Unbounded, Bound::Unbounded);
        let mut empty = false;
        if has(flag::LOWER) {
            let (begin, end) = prefix_range(&mut reader, key)?;
            lower = match (has(flag::LOWER_EXCLUSIVE), end) {
                (false, _) => Bound::Included(begin),
                (true, Some(end)) => Bound::Included(end),
                // No key is behind all that begin with these columns.
                (true, None) => {
                    empty = true;
                    Bound::Unbounded
                }
            };
        }
        if has(flag::UPPER) {
            let (begin, end) = prefix_range(&mut reader, key)?;
            upper = match (has(flag::UPPER_EXCLUSIVE), end) {
                (true, _) => Bound::Excluded(begin),
                (false, Some(end)) => Bound::Excluded(end),
                (false, None) => Bound::Unbounded,
            };
        }
        if let (Bound::Included(lower), Bound::Excluded(upper)) = (&lower, &upper) {
            empty |= lower >= upper;
        }
        if empty {
            (lower, upper) = (Bound::Included(Key::new()), Bound::Excluded(Key::new()));
        }
        let filter = match reader.remaining() {
            0 => Program::default(),
            _ => {
                Compiler { reader, row, nodes: 0, labels: Vec::new(), program: Program::default() }
                    .compile()?
            }
        };
        Ok(Self { reverse: has(flag::REVERSE), limit, lower, upper, filter })
    }
}

/// Reads a bound: the first key that begins with its columns (or would), and
/// the first behind all of them, if there can be one.
fn prefix_range(
    reader: &mut Reader<'_>,
    key: &KeyLayout,
) -> Result<(Key, Option<Key>), FilterError> {
    let found = reader.byte()?;
    if usize::from(found) > key.columns().len() {
        return Err(FilterError::BoundColumns { found, key: key.columns().len() });
    }
    let prefix = key.prefix(found.into());
    let len = u32::from_le_bytes(reader.array()?);
    let mut key_row = reader.take(len as usize)?.to_vec();
    prefix.check(&mut key_row).map_err(FilterError::Bound)?;
    let mut begin = Key::new();
    prefix.from_key_row(&key_row, &mut begin);
    let end = successor(&begin);
    Ok((begin, end))
}

/// The smallest bytes behind all that begin with `prefix`.
fn successor(prefix: &Key) -> Option<Key> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(Key::from_slice(&end))
}

/// A place to go on at, while the tests that it may be are not known yet: the
/// index of a label, [`HOLDS`] or [`FAILS`].
type Label = Next;

/// Reads a filter and turns it into tests.
struct Compiler<'a> {
    reader: Reader<'a>,
    row: &'a Layout,
    nodes: usize,
    /// The test that each label is in front of.
    labels: Vec<Next>,
    program: Program,
}

impl<'a> Compiler<'a> {
    fn compile(mut self) -> Result<Program, FilterError> {
        self.node(0, HOLDS, FAILS)?;
        self.reader.finish()?;
        let resolve = |next: Next| self.labels.get(usize::from(next)).copied().unwrap_or(next);
        for test in &mut self.program.tests {
            test.holds = resolve(test.holds);
            test.fails = resolve(test.fails);
        }
        Ok(self.program)
    }

    /// Reads a node, after which it goes on at `holds` or at `fails`.
    fn node(&mut self, depth: usize, holds: Label, fails: Label) -> Result<(), FilterError> {
        if depth >= DEPTH {
            return Err(FilterError::TooDeep);
        }
        if self.nodes >= NODES {
            return Err(FilterError::TooManyNodes);
        }
        self.nodes += 1;
        let at = self.reader.position();
        match self.reader.byte()? {
            node::AND => self.children(depth, holds, |next| (next, fails), (holds, fails)),
            node::OR => self.children(depth, fails, |next| (holds, next), (fails, holds)),
            node::NOT => self.node(depth + 1, fails, holds),
            node::IS_NONE => self.is_none(Comparison::Eq, holds, fails),
            node::IS_SOME => self.is_none(Comparison::Ne, holds, fails),
            node::STARTS_WITH => self.part(false, holds, fails),
            node::CONTAINS => self.part(true, holds, fails),
            found => match Comparison::ALL.into_iter().find(|&known| known as u8 == found) {
                Some(comparison) => self.comparison(comparison, holds, fails),
                None => Err(FilterError::Node { at, found }),
            },
        }
    }

    /// Reads children. The last goes on at `last` where the others go on at
    /// the next child; without any child it goes on as `none`.
    fn children(
        &mut self,
        depth: usize,
        last: Label,
        targets: impl Fn(Label) -> (Label, Label),
        none: (Label, Label),
    ) -> Result<(), FilterError> {
        let count = self.reader.byte()?;
        if count == 0 {
            return self.push(What::Always, (0, 0), none.0, none.1);
        }
        for _ in 1..count {
            let label = self.labels.len() as Label;
            self.labels.push(FAILS);
            let (holds, fails) = targets(label);
            self.node(depth + 1, holds, fails)?;
            // Each child is at least one test, so there will be one here.
            let next = self.program.tests.len() as Next;
            if let Some(place) = self.labels.get_mut(usize::from(label)) {
                *place = next;
            }
        }
        let (holds, fails) = targets(last);
        self.node(depth + 1, holds, fails)
    }

    fn is_none(
        &mut self,
        comparison: Comparison,
        holds: Label,
        fails: Label,
    ) -> Result<(), FilterError> {
        let column = self.column()?;
        match column.layout.node() {
            Node::Option(_) => {
                self.push(What::None(Outcomes::of(comparison)), (column.offset, 0), holds, fails)
            }
            _ => Err(unfit(column, "is no option: it always has a value")),
        }
    }

    fn part(&mut self, anywhere: bool, holds: Label, fails: Label) -> Result<(), FilterError> {
        let column = self.column()?;
        let content = self.operand()?;
        let (leaf, options) = leaf(&column.layout);
        let Some(Leaf::String | Leaf::Bytes) = leaf else {
            return Err(unfit(column, "has no parts to look for; strings and bytes have"));
        };
        let what = if anywhere {
            self.program.finders.push(Finder::new(content).into_owned());
            What::Contains(self.program.finders.len() as u32 - 1)
        } else {
            let (start, len) = self.constant(content);
            What::StartsWith(start, len)
        };
        self.push(what, (column.offset, options), holds, fails)
    }

    fn comparison(
        &mut self,
        comparison: Comparison,
        holds: Label,
        fails: Label,
    ) -> Result<(), FilterError> {
        let column = self.column()?;
        let operand = self.operand()?;
        let (Some(leaf), options) = leaf(&column.layout) else {
            return Err(unfit(column, "cannot be compared"));
        };
        // The value is checked and kept in its canonical form.
        let (start, len) = self.constant(operand);
        let end = self.reader.fault(DecodeFault::UnexpectedEnd);
        let value = self.program.constants.get_mut(start as usize..).ok_or(end)?;
        column
            .layout
            .check(value)
            .map_err(|error| FilterError::Value { column: column.name.clone(), error })?;
        let outcomes = Outcomes::of(comparison);
        let options = usize::from(options);
        let present = value.iter().take(options).take_while(|&&tag| tag != 0).count();
        let what = if present < options {
            What::None(outcomes)
        } else {
            what(outcomes, leaf, value, start, options, len).ok_or(end)?
        };
        self.push(what, (column.offset, present as u8), holds, fails)
    }

    fn column(&mut self) -> Result<&'a FieldLayout, FilterError> {
        let found = u16::from_le_bytes(self.reader.array()?);
        let columns = self.row.fields();
        let error = FilterError::Column { found, columns: columns.len() };
        columns.get(usize::from(found)).ok_or(error)
    }

    fn operand(&mut self) -> Result<&'a [u8], FilterError> {
        let len = u32::from_le_bytes(self.reader.array()?);
        Ok(self.reader.take(len as usize)?)
    }

    fn constant(&mut self, content: &[u8]) -> (u32, u32) {
        let constants = &mut self.program.constants;
        let start = constants.len() as u32;
        constants.extend_from_slice(content);
        (start, content.len() as u32)
    }

    fn push(
        &mut self,
        what: What,
        (at, options): (u32, u8),
        holds: Label,
        fails: Label,
    ) -> Result<(), FilterError> {
        self.program.tests.push(Test { at, options, what, holds, fails });
        Ok(())
    }
}

/// What is compared in a column, and how many options are around it.
fn leaf(layout: &Layout) -> (Option<Leaf>, u8) {
    let (mut layout, mut options) = (layout, 0);
    loop {
        match layout.node() {
            Node::Leaf(leaf) => return (Some(leaf), options),
            Node::Option(inner) => (layout, options) = (inner, options + 1),
            _ => return (None, options),
        }
    }
}

/// The comparison of `leaf` with `value`, a checked value of which the leaf's
/// slot is at `at`, and which starts at `start` in the constants.
fn what(
    outcomes: Outcomes,
    leaf: Leaf,
    value: &[u8],
    start: u32,
    at: usize,
    len: u32,
) -> Option<What> {
    let unsigned = |size| Some(What::Unsigned(outcomes, size, unsigned(value, at, size)?));
    Some(match leaf {
        Leaf::Bool | Leaf::Tag(_) | Leaf::U8 => unsigned(1)?,
        Leaf::U16 => unsigned(2)?,
        Leaf::U32 => unsigned(4)?,
        Leaf::U64 => unsigned(8)?,
        Leaf::I8 => What::Signed(outcomes, 1, i8::from_le_bytes(array(value, at)?).into()),
        Leaf::I16 => What::Signed(outcomes, 2, i16::from_le_bytes(array(value, at)?).into()),
        Leaf::I32 => What::Signed(outcomes, 4, i32::from_le_bytes(array(value, at)?).into()),
        Leaf::I64 => What::Signed(outcomes, 8, i64::from_le_bytes(array(value, at)?)),
        Leaf::U128 => What::Wide(outcomes, false, start + at as u32),
        Leaf::I128 => What::Wide(outcomes, true, start + at as u32),
        Leaf::F32 => What::F32(outcomes, f32::from_le_bytes(array(value, at)?)),
        Leaf::F64 => What::F64(outcomes, f64::from_le_bytes(array(value, at)?)),
        Leaf::String | Leaf::Bytes => {
            // Canonical: the content is all that is behind the slot.
            let slot = at as u32 + 8;
            What::Content(outcomes, start + slot, len.checked_sub(slot)?)
        }
    })
}

fn unfit(column: &FieldLayout, what: &'static str) -> FilterError {
    FilterError::Type { column: column.name.to_owned(), ty: format!("{}", column.layout), what }
}
