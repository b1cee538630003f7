use alloc::string::String;
use core::fmt;

use crate::bytes::DecodeError;

/// Why a schema is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// The custom section's bytes do not decode.
    Decode(DecodeError),
    /// A fragment was written by another version of the format.
    FormatVersion {
        /// The version found; this library reads [`super::section::FORMAT_VERSION`].
        found: u8,
    },
    /// The section holds no item.
    Empty,
    /// Something in the schema breaks a rule.
    Invalid {
        /// The place, e.g. `table reading, column at`.
        at: String,
        /// The rule, and where there is one, the fix.
        why: String,
    },
}

impl From<DecodeError> for SchemaError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "the schema section does not decode: {error}"),
            Self::FormatVersion { found } => write!(
                f,
                "the schema section has format version {found}, this build reads version {}",
                super::section::FORMAT_VERSION
            ),
            Self::Empty => f.write_str("the schema defines no table, reducer or query"),
            Self::Invalid { at, why } => write!(f, "{at}: {why}"),
        }
    }
}

impl core::error::Error for SchemaError {}
