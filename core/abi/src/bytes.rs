//! Reading untrusted bytes, and the varints of postcard's wire format.
//!
//! Varints are unsigned LEB128; signed integers are zigzag-encoded first.
//! Source: the postcard specification, "Wire Format", version 1.0.
//!
//! Decoding accepts the canonical form only: the shortest encoding of a value.

use alloc::vec::Vec;
use core::fmt;

/// Bytes that do not decode, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Byte position in the input.
    pub at: usize,
    /// What is wrong there.
    pub fault: DecodeFault,
}

/// What is wrong with bytes that do not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeFault {
    /// The input ends inside a value.
    UnexpectedEnd,
    /// Bytes are left over behind the last value.
    TrailingBytes,
    /// A varint is too large for its type, or not in its shortest form.
    Varint,
    /// A boolean or an option's tag is neither 0 nor 1.
    Boolean,
    /// An enum's tag names no variant.
    Tag,
    /// A string is not UTF-8.
    Utf8,
    /// A value would be larger than its limit.
    TooLarge,
    /// Values are nested deeper than the limit.
    TooDeep,
    /// A set of columns names one that the row does not have.
    Column,
}

impl fmt::Display for DecodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnexpectedEnd => "the input ends inside a value",
            Self::TrailingBytes => "bytes are left over behind the last value",
            Self::Varint => "a varint is too large or not in its shortest form",
            Self::Boolean => "a boolean or option tag is neither 0 nor 1",
            Self::Tag => "an enum tag names no variant",
            Self::Utf8 => "a string is not UTF-8",
            Self::TooLarge => "a value is larger than its limit",
            Self::TooDeep => "values are nested too deep",
            Self::Column => "a set of columns names one that the row does not have",
        })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.fault)
    }
}

impl core::error::Error for DecodeError {}

/// A position in bytes that are being decoded.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error at the current position.
    pub fn fault(&self, fault: DecodeFault) -> DecodeError {
        DecodeError { at: self.at, fault }
    }

    /// Succeeds only at the end of the input.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.fault(DecodeFault::TrailingBytes)) }
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => Err(self.fault(DecodeFault::UnexpectedEnd)),
        }
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.bytes[self.at..].split_at_checked(len) {
            Some((head, _)) => {
                self.at += len;
                Ok(head)
            }
            None => Err(self.fault(DecodeFault::UnexpectedEnd)),
        }
    }

    /// The next `N` bytes, as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(self.fault(DecodeFault::UnexpectedEnd)),
        }
    }

    /// A boolean: one byte, 0 or 1.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        let start = self.at;
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError { at: start, fault: DecodeFault::Boolean }),
        }
    }

    /// An unsigned varint of at most `bits` bits, 1 to 128.
    pub fn varint(&mut self, bits: u32) -> Result<u128, DecodeError> {
        let start = self.at;
        let error = DecodeError { at: start, fault: DecodeFault::Varint };
        let mut value = 0u128;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let group = u128::from(byte & 0x7f);
            if shift >= bits || (bits - shift < 7 && group >> (bits - shift) != 0) {
                return Err(error);
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                // A last group of zero would be a longer form of the same value.
                return if group == 0 && shift > 0 { Err(error) } else { Ok(value) };
            }
            shift += 7;
        }
    }

    /// An unsigned varint of at most 64 bits.
    #[inline]
    pub fn varint_u64(&mut self) -> Result<u64, DecodeError> {
        if let Some(&byte) = self.bytes.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        self.varint_u64_long()
    }

    fn varint_u64_long(&mut self) -> Result<u64, DecodeError> {
        let error = DecodeError { at: self.at, fault: DecodeFault::Varint };
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && group > 1) {
                return Err(error);
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return if group == 0 && shift > 0 { Err(error) } else { Ok(value) };
            }
            shift += 7;
        }
    }

    /// An unsigned varint of at most 32 bits.
    #[inline]
    pub fn varint_u32(&mut self) -> Result<u32, DecodeError> {
        let start = self.at;
        u32::try_from(self.varint_u64()?)
            .map_err(|_| DecodeError { at: start, fault: DecodeFault::Varint })
    }

    /// Bytes behind their length (a varint). Refers to the input; copies nothing.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint_u32()?;
        self.take(len as usize)
    }

    /// UTF-8 text behind its length (a varint).
    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.at;
        core::str::from_utf8(self.bytes()?)
            .map_err(|_| DecodeError { at: start, fault: DecodeFault::Utf8 })
    }
}

/// Appends an unsigned varint.
#[inline]
pub fn write_varint_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends an unsigned varint of up to 128 bits.
pub fn write_varint_u128(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends bytes behind their length.
#[inline]
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The bytes that [`write_varint_u64`] appends for `value`.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Maps a signed integer to an unsigned one with small values for small magnitudes.
#[inline]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// [`zigzag`] for 128 bits.
#[inline]
pub const fn zigzag_i128(value: i128) -> u128 {
    ((value << 1) ^ (value >> 127)) as u128
}

/// The inverse of [`zigzag_i128`].
#[inline]
pub const fn unzigzag_i128(value: u128) -> i128 {
    (value >> 1) as i128 ^ -((value & 1) as i128)
}
