//! Checksums of any range of some bytes, without reading the range.
//!
//! A CRC is the remainder of a division of polynomials over GF(2), so the
//! checksum of a range follows from those of the two prefixes that end where
//! it begins and where it ends: crc(B) = crc(AB) + x^(8·len B) · crc(A); behind
//! other bytes, crc(CB) = crc(B) + x^(8·len B) · crc(C). The
//! power is computed by squaring. Source: Adler's `crc32_combine` in zlib.

use alloc::vec::Vec;

use super::append;

/// CRC-32C's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksums of some bytes' prefixes, one in every [`STEP`](Self::STEP). Where
/// there is no memory for them there are none, and ranges are read.
pub(in super::super) struct Ranges<'a> {
    bytes: &'a [u8],
    prefixes: Vec<u32>,
}

impl<'a> Ranges<'a> {
    const STEP: usize = 64;

    pub(in super::super) fn new(bytes: &'a [u8]) -> Self {
        let mut prefixes = Vec::new();
        let count = bytes.len() / Self::STEP + 1;
        if prefixes.try_reserve_exact(count).is_ok()
            && prefixes.capacity() - prefixes.len() >= count
        {
            prefixes.resize(count, 0);
        }
        let mut checksum = 0;
        let chunks = bytes.chunks_exact(Self::STEP);
        for (prefix, chunk) in prefixes.iter_mut().skip(1).zip(chunks) {
            checksum = append(checksum, chunk);
            *prefix = checksum;
        }
        Self { bytes, prefixes }
    }

    /// The checksum of what `checksum` is of, followed by the bytes from `start` to
    /// `end`.
    pub(in super::super) fn append(&self, checksum: u32, start: usize, end: usize) -> u32 {
        let len = end.saturating_sub(start);
        if len < 2 * Self::STEP || self.prefixes.is_empty() {
            return append(checksum, self.bytes.get(start..end).unwrap_or_default());
        }
        self.prefix(end) ^ multiply(power(len), self.prefix(start) ^ checksum)
    }

    fn prefix(&self, end: usize) -> u32 {
        let step = end / Self::STEP;
        let checksum = self.prefixes.get(step).copied().unwrap_or_default();
        append(checksum, self.bytes.get(step * Self::STEP..end).unwrap_or_default())
    }
}

/// The product of two polynomials, modulo CRC-32C's. The highest bit is x^0.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1u32 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 0 { b >> 1 } else { b >> 1 ^ POLYNOMIAL };
        bit >>= 1;
    }
    product
}

/// x to the power of 8·2^n, for each n.
const SQUARES: [u32; 64] = {
    let mut squares = [0; 64];
    // x^8.
    let mut square = 1 << (31 - 8);
    let mut n = 0;
    while n < 64 {
        squares[n] = square;
        square = multiply(square, square);
        n += 1;
    }
    squares
};

/// x to the power of 8·`bytes`.
fn power(bytes: usize) -> u32 {
    let one = 1 << 31;
    let factors = SQUARES.iter().enumerate().filter(|(n, _)| bytes as u64 >> n & 1 == 1);
    factors.fold(one, |power, (_, square)| multiply(power, *square))
}

/// The register of a CRC-32C before 32 zero bits.
pub(in super::super) fn unshift(mut register: u32) -> u32 {
    for _ in 0..u32::BITS {
        register = match register & 1 << 31 {
            0 => register << 1,
            _ => (register ^ POLYNOMIAL) << 1 | 1,
        };
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_every_range_is_that_of_its_bytes() {
        let bytes: [u8; 700] = core::array::from_fn(|at| (at * at / 3) as u8);
        let ranges = Ranges::new(&bytes);
        let without_memory = Ranges { bytes: &bytes, prefixes: Vec::new() };
        for start in 0..bytes.len() {
            for end in (start..=bytes.len()).step_by(3) {
                for before in [0, 0x1234_5678] {
                    let expected = append(before, &bytes[start..end]);
                    assert_eq!(ranges.append(before, start, end), expected, "{start}..{end}");
                    assert_eq!(
                        without_memory.append(before, start, end),
                        expected,
                        "{start}..{end}"
                    );
                }
            }
        }
    }
}
