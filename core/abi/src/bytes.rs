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
    rest: &'a [u8],
    /// Bytes of the whole input.
    len: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len() }
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    /// Bytes not yet read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// An error at the current position.
    pub fn fault(&self, fault: DecodeFault) -> DecodeError {
        DecodeError { at: self.position(), fault }
    }

    /// Succeeds only at the end of the input.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.fault(DecodeFault::TrailingBytes)) }
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        match self.rest {
            [byte, rest @ ..] => {
                self.rest = rest;
                Ok(*byte)
            }
            [] => Err(self.fault(DecodeFault::UnexpectedEnd)),
        }
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.fault(DecodeFault::UnexpectedEnd)),
        }
    }

    /// The next `N` bytes, as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((chunk, rest)) => {
                self.rest = rest;
                Ok(*chunk)
            }
            None => Err(self.fault(DecodeFault::UnexpectedEnd)),
        }
    }

    /// A boolean: one byte, 0 or 1.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        let error = self.fault(DecodeFault::Boolean);
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(error),
        }
    }

    /// An unsigned varint of at most `bits` bits, 1 to 128.
    pub fn varint(&mut self, bits: u32) -> Result<u128, DecodeError> {
        let error = self.fault(DecodeFault::Varint);
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

    /// An unsigned varint of at most 128 bits.
    #[inline]
    pub fn varint_u128(&mut self) -> Result<u128, DecodeError> {
        let mut reader = self.clone();
        let value = reader.varint(128)?;
        *self = reader;
        Ok(value)
    }

    /// An unsigned varint of at most 64 bits.
    // A call would cost as much as a short varint.
    #[inline(always)]
    pub fn varint_u64(&mut self) -> Result<u64, DecodeError> {
        if let [byte, rest @ ..] = self.rest
            && *byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        let (value, len) = long_varint(self.rest);
        match self.rest.get(len..) {
            Some(rest) if len > 0 => {
                self.rest = rest;
                Ok(value)
            }
            _ => Err(self.clone().varint_fault()),
        }
    }

    #[cold]
    fn varint_fault(mut self) -> DecodeError {
        let error = self.fault(DecodeFault::Varint);
        self.varint(64).err().unwrap_or(error)
    }

    /// An unsigned varint of at most 32 bits.
    #[inline]
    pub fn varint_u32(&mut self) -> Result<u32, DecodeError> {
        let error = self.fault(DecodeFault::Varint);
        u32::try_from(self.varint_u64()?).map_err(|_| error)
    }

    /// Bytes behind their length (a varint). Refers to the input; copies nothing.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint_u32()?;
        self.take(len as usize)
    }

    /// UTF-8 text behind its length (a varint).
    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        let error = self.fault(DecodeFault::Utf8);
        core::str::from_utf8(self.bytes()?).map_err(|_| error)
    }
}

/// The bit of each byte of a word that says that the varint goes on.
const CONTINUED: u64 = 0x8080_8080_8080_8080;

/// Reads a varint of 2 bytes or more: its value and length, or a length of 0
/// where there is none. (A function of registers only, so that its callers can
/// keep their position in one.)
#[inline(never)]
fn long_varint(bytes: &[u8]) -> (u64, usize) {
    if let Some(word) = bytes.first_chunk() {
        // Up to 8 bytes are read at once, if there are 8.
        let word = u64::from_le_bytes(*word);
        let ends = !word & CONTINUED;
        if ends != 0 {
            // All bits up to the one that ends the varint.
            let value = gather(word & (ends ^ (ends - 1)));
            let len = ends.trailing_zeros() as usize / 8 + 1;
            return if value >> (7 * (len - 1)) == 0 { (0, 0) } else { (value, len) };
        }
    }
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            let shortest = byte != 0 && (index < 9 || byte == 1);
            return if shortest { (value, index + 1) } else { (0, 0) };
        }
    }
    (0, 0)
}

/// The lower 7 bits of each byte, in one number.
#[inline]
const fn gather(word: u64) -> u64 {
    let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
    word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4
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
