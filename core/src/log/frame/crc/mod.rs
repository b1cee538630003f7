//! CRC-32C (CRC-32/ISCSI: polynomial 0x1EDC6F41, reflected).
//!
//! The checksum is the same by whatever means it is computed: with the
//! feature `crc32c` by the processor's own instructions where it has them,
//! else by tables.

#[cfg(feature = "crc32c")]
mod processor;
mod ranges;
#[cfg(any(test, not(feature = "crc32c")))]
mod table;

#[cfg(feature = "crc32c")]
pub(super) use processor::append;
#[cfg(not(feature = "crc32c"))]
pub(super) use table::append;

pub(super) use ranges::{Ranges, unshift};

#[cfg(test)]
mod tests {
    use super::append;

    #[test]
    fn the_checksum_is_the_one_of_the_catalogue() {
        // CRC-32/ISCSI's check value.
        assert_eq!(append(0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn tables_and_the_processor_agree() {
        let bytes: [u8; 300] = core::array::from_fn(|at| (at * at) as u8);
        for end in 0..bytes.len() {
            assert_eq!(append(7, &bytes[..end]), super::table::append(7, &bytes[..end]));
        }
    }

    #[test]
    fn a_checksum_is_the_same_in_one_piece_and_in_many() {
        let bytes: [u8; 300] = core::array::from_fn(|at| (at * 7) as u8);
        let whole = append(0, &bytes);
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(append(append(0, head), tail), whole);
        }
    }
}
