//! By the processor's instructions, where it has them.

/// The checksum of what `checksum` is of, followed by `bytes`.
#[inline]
pub(in super::super) fn append(checksum: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(checksum, bytes)
}
