//! What is written: the same bytes for everyone, from a fixed seed.

/// Bytes that records are cut from. They fit a processor's cache, so that
/// fetching a record costs next to nothing.
const POOL_LEN: usize = 1 << 20;

/// Where the next record begins: a prime, so that records differ.
const STRIDE: usize = 8191;

/// Records of one length, by number.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    pool: &'static [u8],
    /// Bytes of each.
    pub len: usize,
}

impl Records {
    /// Records of `len` bytes each, which is less than a mebibyte.
    pub fn new(len: usize) -> Self {
        let mut seed = 0x1257_1CE5_u64;
        let words = (0..POOL_LEN / 8).flat_map(|_| split_mix(&mut seed).to_le_bytes());
        // It lives as long as the process; the peers keep records by reference.
        let pool = Vec::leak(words.collect());
        Self { pool, len }
    }

    /// The record with this number.
    pub fn get(self, number: u64) -> &'static [u8] {
        let start = (number as usize).wrapping_mul(STRIDE) % (POOL_LEN - self.len);
        &self.pool[start..start + self.len]
    }
}

/// The next number of Vigna's SplitMix64.
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
