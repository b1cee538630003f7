//! The bytes of a key, made to be compared.

use alloc::boxed::Box;
use core::{cmp::Ordering, fmt, ops::Deref};

#[cfg(not(target_os = "none"))]
use fast::{Head, SHORT};
#[cfg(target_os = "none")]
use small::{Head, SHORT};

/// The bytes of a key. Up to 22 of them take no allocation; 14 on targets
/// without an operating system.
///
/// Keys are compared as bytes. Tables compare those of their runs at every step of a
/// search, so the first eight bytes are kept as an integer, which decides most of it.
/// Without an operating system they are not: there a key is half as large.
#[derive(Clone)]
pub struct Key {
    head: Head,
    bytes: Bytes,
}

#[cfg(not(target_os = "none"))]
mod fast {
    /// Bytes that are kept without an allocation.
    pub(super) const SHORT: usize = 22;

    /// The first eight bytes, padded with zeros, most significant first. Keys
    /// of different heads order like their heads.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(super) struct Head(u64);

    impl Head {
        pub(super) const EMPTY: Self = Self(0);

        #[inline]
        pub(super) fn of(first: [u8; 8]) -> Self {
            Self(u64::from_be_bytes(first))
        }
    }

    const _: () = assert!(size_of::<super::Key>() == 32);
}

#[cfg(target_os = "none")]
mod small {
    /// Bytes that are kept without an allocation.
    pub(super) const SHORT: usize = 14;

    /// Nothing: all heads are equal, and the bytes decide.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(super) struct Head;

    impl Head {
        pub(super) const EMPTY: Self = Self;

        pub(super) fn of(_: [u8; 8]) -> Self {
            Self
        }
    }

    const _: () = assert!(size_of::<super::Key>() == 16 || size_of::<usize>() != 4);
}

#[derive(Clone)]
enum Bytes {
    Short { bytes: [u8; SHORT], len: u8 },
    Long(Box<[u8]>),
}

impl Key {
    /// The empty key.
    pub const fn new() -> Self {
        Self { head: Head::EMPTY, bytes: Bytes::Short { bytes: [0; SHORT], len: 0 } }
    }

    /// The key with these bytes.
    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut first = [0; 8];
        for (to, from) in first.iter_mut().zip(bytes) {
            *to = *from;
        }
        let head = Head::of(first);
        let mut short = [0; SHORT];
        let bytes = match short.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(bytes);
                Bytes::Short { bytes: short, len: bytes.len() as u8 }
            }
            None => Bytes::Long(bytes.into()),
        };
        Self { head, bytes }
    }

    /// The key with these bytes: the first `len`, at most 16, of `padded`, most
    /// significant first. The rest of it is zero.
    #[inline]
    pub(crate) fn from_padded(padded: u128, len: usize) -> Self {
        let padded = padded.to_be_bytes();
        let len = len.min(padded.len());
        if len > SHORT {
            return Self::from_slice(&padded[..len]);
        }
        let mut bytes = [0; SHORT];
        let kept = SHORT.min(padded.len());
        bytes[..kept].copy_from_slice(&padded[..kept]);
        let [a, b, c, d, e, f, g, h, ..] = padded;
        let head = Head::of([a, b, c, d, e, f, g, h]);
        Self { head, bytes: Bytes::Short { bytes, len: len as u8 } }
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
        match &self.bytes {
            Bytes::Short { bytes, len } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // Padding makes equal heads of keys that are not; then all bytes count.
        self.head.cmp(&other.head).then_with(|| (**self).cmp(&**other))
    }
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
        assert_eq!(*Key::from_padded(u128::from_be_bytes([1; 16]), 16), [1; 16]);
        assert_eq!(format!("{:?}", Key::from_slice(&[1, 255])), "0x01ff");
        assert_eq!(Key::default(), Key::new());
    }
}
