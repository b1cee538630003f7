//! A transaction's random sequence.
//!
//! SplitMix64, as specified in [the log's format](crate::log#seeds). For simulation and sampling; not for secrets:
//! who knows the seed knows the sequence.

use crate::ids::TxOffset;

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The sequence of one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }
}

/// The seed of the transaction at `offset` when the host gives none.
pub(crate) fn derived_seed(log_seed: u64, offset: TxOffset) -> u64 {
    mix(log_seed ^ mix(offset.0.wrapping_add(GAMMA)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
