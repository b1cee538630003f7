//! The bytes of a key, made to be compared.

use alloc::boxed::Box;
use core::{cmp::Ordering, fmt, ops::Deref};

/// Bytes that are kept without an allocation.
const SHORT: usize = 22;

/// The bytes of a key. Up to 22 of them take no allocation.
///
/// Keys are compared as bytes. Tables compare them at every step of a search,
/// so most comparisons are decided by the first eight bytes as one integer.
#[derive(Clone)]
pub struct Key(Bytes);

#[derive(Clone)]
enum Bytes {
    /// Padded with zeros, which makes the padded arrays order like the bytes
    /// except for those that differ only in trailing zeros; then the length
    /// decides.
    Short {
        bytes: [u8; SHORT],
        len: u8,
    },
    Long(Box<[u8]>),
}

const _: () = assert!(size_of::<Key>() == 24);

impl Key {
    /// The empty key.
    pub const fn new() -> Self {
        Self(Bytes::Short { bytes: [0; SHORT], len: 0 })
    }

    /// The key with these bytes.
    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        match short.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(bytes);
                Self(Bytes::Short { bytes: short, len: bytes.len() as u8 })
            }
            None => Self(Bytes::Long(bytes.into())),
        }
    }

    /// The key with these bytes: the first `len`, at most 16, of `padded`, the
    /// rest of which is zero.
    #[inline]
    pub(crate) fn from_padded(padded: [u8; 16], len: usize) -> Self {
        let mut bytes = [0; SHORT];
        bytes[..16].copy_from_slice(&padded);
        Self(Bytes::Short { bytes, len: len.min(16) as u8 })
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Key {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { bytes, len } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Bytes::Short { bytes: a, len: a_len }, Bytes::Short { bytes: b, len: b_len }) => {
                head(a).cmp(&head(b)).then_with(|| a[8..].cmp(&b[8..])).then(a_len.cmp(b_len))
            }
            _ => (**self).cmp(&**other),
        }
    }
}

/// The first eight bytes, as an integer that orders like them.
#[inline]
fn head(bytes: &[u8; SHORT]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *bytes;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;

    #[test]
    fn keys_order_like_their_bytes() {
        let contents: [&[u8]; 12] = [
            b"",
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"aaaaaaaa",
            b"aaaaaaaa\0",
            b"aaaaaaaab",
            b"\xff",
            &[7; SHORT],
            &[7; SHORT + 1],
            &[7; 40],
        ];
        for a in contents {
            for b in contents {
                let (key_a, key_b) = (Key::from_slice(a), Key::from_slice(b));
                assert_eq!(key_a.cmp(&key_b), a.cmp(b), "{a:?} {b:?}");
                assert_eq!(key_a == key_b, a == b);
            }
        }
    }

    #[test]
    fn a_key_keeps_its_bytes() {
        for len in 0..64u8 {
            let bytes: Vec<u8> = (0..len).collect();
            assert_eq!(*Key::from_slice(&bytes), *bytes);
        }
        assert_eq!(*Key::from_padded([1; 16], 16), [1; 16]);
        assert_eq!(format!("{:?}", Key::from_slice(&[1, 255])), "0x01ff");
        assert_eq!(Key::default(), Key::new());
    }
}
