//! Identifiers that cross the guest boundary.

/// Identifies a table, reducer or query by its name, as guests know it.
///
/// Guests are compiled one macro at a time and cannot number their tables, so
/// they name them by the 32-bit FNV-1a hash of the name. Two names of one
/// module with the same hash are refused when the schema is read.
///
/// Source of the algorithm: draft-eastlake-fnv, "The FNV Non-Cryptographic
/// Hash Algorithm", section 2 (offset basis and prime for 32 bits).
///
/// ```
/// use interstice_abi::ids::NameId;
/// assert_eq!(NameId::of("a").0, 0xe40c_292c);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameId(pub u32);

impl NameId {
    /// The identifier of `name`.
    pub const fn of(name: &str) -> Self {
        Self(fnv1a(OFFSET_BASIS, name.as_bytes()))
    }

    /// The identifier of a function of another module: the hash of
    /// `module.function`.
    pub const fn of_external(module: &str, function: &str) -> Self {
        let hash = fnv1a(OFFSET_BASIS, module.as_bytes());
        let hash = fnv1a(hash, b".");
        Self(fnv1a(hash, function.as_bytes()))
    }
}

const OFFSET_BASIS: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

const fn fnv1a(mut hash: u32, bytes: &[u8]) -> u32 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u32).wrapping_mul(PRIME);
        index += 1;
    }
    hash
}
