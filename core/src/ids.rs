//! Positions and numbers.

use core::fmt;

/// Position of a commit in the log, counted from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxOffset(pub u64);

impl TxOffset {
    /// The position behind this one. The last there can be has none, and stays.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for TxOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Number of an installed module, in the order of installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

/// Number of a table, in the order of installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// A reducer or query of an installed module. Valid until that module is
/// upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionRef {
    /// The module.
    pub module: ModuleId,
    /// Its position among the module's reducers, followed by its queries.
    pub index: u32,
}

/// What a host gives to a call besides its arguments. Both are recorded; the
/// core reads neither a clock nor a source of randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// The time of the call. Time that would go backwards stands still.
    pub time: Timestamp,
    /// The seed of the call's random sequence. Without one it is derived from
    /// the log's seed and the call's position, and costs no byte in the log.
    pub seed: Option<u64>,
}

impl Inputs {
    /// A call at `time`, with a derived seed.
    pub const fn at(time: Timestamp) -> Self {
        Self { time, seed: None }
    }
}
