//! By sixteen table lookups at a time, or by one where 16 KiB of table are too
//! much.

#[cfg(not(target_os = "none"))]
type Tables = crc::Table<16>;
#[cfg(target_os = "none")]
type Tables = crc::Table<1>;

static CRC: crc::Crc<u32, Tables> = crc::Crc::<u32, Tables>::new(&crc::CRC_32_ISCSI);

/// The checksum of what `checksum` is of, followed by `bytes`.
#[inline]
pub(in super::super) fn append(checksum: u32, bytes: &[u8]) -> u32 {
    // The initial register is given unreflected.
    let mut digest = CRC.digest_with_initial((!checksum).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}
