use alloc::{boxed::Box, string::String};
use core::fmt;

/// Bytes that are not the canonical encoding of a value, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutError {
    /// The place in the value: `readings[3].kind`. Empty for the value itself.
    pub path: String,
    /// Byte position of the slot, or of the content, that is wrong.
    pub at: usize,
    /// What is wrong there.
    pub fault: LayoutFault,
}

/// What is wrong with bytes that are not a canonical value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutFault {
    /// The value is longer or shorter than its type and content make it.
    Length {
        /// The length due. For a value that ends inside its slot: the slot's.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// A boolean or an option's tag is neither 0 nor 1.
    Boolean(u8),
    /// An enum's tag names no variant.
    Tag {
        /// The tag.
        found: u8,
        /// How many variants the enum has.
        variants: usize,
    },
    /// The content is not behind that of the fields before.
    Offset {
        /// The offset due.
        expected: usize,
        /// The offset.
        found: usize,
    },
    /// The content reaches beyond the end of the value.
    End,
    /// A string is not UTF-8.
    Utf8,
    /// An option's slot is not zero, although it holds nothing.
    NotZero,
}

impl LayoutError {
    #[cold]
    pub(super) fn boxed(at: usize, fault: LayoutFault) -> Box<Self> {
        Box::new(Self { path: String::new(), at, fault })
    }

    /// Puts the place `outer` in front of the path.
    #[cold]
    pub(super) fn within(mut self: Box<Self>, outer: &str) -> Box<Self> {
        prefix(&mut self.path, outer);
        self
    }
}

/// Puts the place `outer` in front of `path`.
pub(crate) fn prefix(path: &mut String, outer: &str) {
    if !path.is_empty() && !path.starts_with('[') {
        path.insert(0, '.');
    }
    path.insert_str(0, outer);
}

impl fmt::Display for LayoutFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => {
                write!(f, "the value is {found} bytes long where {expected} are due")
            }
            Self::Boolean(found) => write!(f, "{found} is neither 0 nor 1"),
            Self::Tag { found, variants } => {
                write!(f, "the tag {found} names none of the {variants} variants")
            }
            Self::Offset { expected, found } => {
                write!(f, "its content is at offset {found} where {expected} is due")
            }
            Self::End => f.write_str("its content reaches beyond the end of the value"),
            Self::Utf8 => f.write_str("the string is not UTF-8"),
            Self::NotZero => f.write_str("the bytes of an option without a value are not zero"),
        }
    }
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}, ", self.path)?;
        }
        write!(f, "byte {}: {}", self.at, self.fault)
    }
}

impl core::error::Error for LayoutError {}
