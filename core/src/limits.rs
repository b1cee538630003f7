//! Every capacity, in one place.
//!
//! Limits decide which calls fail, so they belong to the history: the log says
//! under which ones its commits were made, and is re-executed with those.
//! Replay of effects does not depend on them.

use alloc::vec::Vec;

use abi::bytes::{DecodeError, Reader, write_varint_u64};
use interstice_abi as abi;

macro_rules! limits {
    ($( $(#[doc = $doc:literal])* $name:ident: $type:ty = $default:expr, )*) => {
        /// The capacities of a runtime. A call that would exceed one is rolled back
        /// with an error that names it; the process never dies of it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $( $(#[doc = $doc])* pub $name: $type, )*
        }

        impl Default for Limits {
            /// Limits for a desktop or server, and those under which every log
            /// begins, if it does not say otherwise: they never change.
            fn default() -> Self {
                Self { $( $name: $default, )* }
            }
        }

        impl Limits {
            /// How many there are.
            const COUNT: usize = [$( stringify!($name), )*].len();

            /// Their names and values, in the order of the log.
            pub fn named(&self) -> [(&'static str, u64); Self::COUNT] {
                [$( (stringify!($name), self.$name as u64), )*]
            }

            fn values(&self) -> [u64; Self::COUNT] {
                [$( self.$name as u64, )*]
            }

            fn of_values(values: [u64; Self::COUNT]) -> Self {
                let [$( $name, )*] = values;
                // A limit beyond what this machine can count is none.
                Self { $( $name: <$type>::try_from($name).unwrap_or(<$type>::MAX), )* }
            }
        }
    };
}

limits! {
    /// Bytes of a module file.
    module_bytes: usize = 4 << 20,
    /// Modules installed.
    modules: usize = 256,
    /// Bytes of a guest's linear memory. The host has to have them, for as many guests as
    /// call each other: an allocation that fails is no outcome that could be recorded, and
    /// a subscription that needs it waits, with everything behind it.
    guest_memory_bytes: usize = 16 << 20,
    /// Elements of a guest's table, which holds the functions it calls indirectly.
    guest_table_elements: usize = 1 << 16,
    /// Fuel of one call, including the calls it makes into other modules.
    fuel_per_call: u64 = 100_000_000,
    /// Nested function calls inside a guest.
    guest_recursion: usize = 256,
    /// Bytes of a guest's value stack.
    guest_stack_bytes: usize = 256 << 10,
    /// Calls from module to module inside one transaction.
    call_depth: usize = 8,
    /// Scans a call may have open at once.
    open_scans: usize = 16,
    /// Bytes of one row, or of the arguments or result of one call, in row
    /// layout. At most [`VALUE_BYTES_MAX`]; more counts as that.
    value_bytes: usize = 1 << 20,
    /// Bytes of the rows, and of the arguments of scheduled calls, that one
    /// transaction may hold back.
    transaction_bytes: usize = 64 << 20,
    /// Rows that one transaction may touch.
    transaction_rows: usize = 1 << 16,
    /// Bytes of a row's primary key, as it is kept in order: a string has two for
    /// each zero, and two at its end.
    key_bytes: usize = 4096,
    /// Bytes of one table: rows, keys and [`ROW_OVERHEAD`] per row.
    table_bytes: u64 = 4 << 30,
    /// Length of a chain of subscriptions.
    subscription_depth: u32 = 16,
    /// Subscriptions waiting to run.
    queue_len: usize = 1 << 16,
    /// Calls waiting for their time.
    schedule_len: usize = 1 << 16,
    /// Bytes of the arguments of all that waits: of a subscription, the row, or the
    /// rows before and after, for each reducer that it runs.
    waiting_bytes: u64 = 256 << 20,
}

impl Limits {
    /// The longest form that they have in the log.
    pub(crate) const BYTES_MAX: usize = 10 * Self::COUNT;

    /// The limits as the log has them.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for value in self.values() {
            write_varint_u64(&mut out, value);
        }
        out
    }

    /// Reads limits that make up all of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut values = [0; Self::COUNT];
        for value in &mut values {
            *value = reader.varint_u64()?;
        }
        reader.finish()?;
        Ok(Self::of_values(values))
    }

    /// Whether `bytes` are limits; a device needs to know no more.
    pub(crate) fn check(bytes: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        for _ in 0..Self::COUNT {
            reader.varint_u64()?;
        }
        reader.finish()
    }
}

/// What a row is counted for besides its bytes and its key's, in
/// [`Limits::table_bytes`]. Fixed, so that a budget means the same everywhere.
pub const ROW_OVERHEAD: usize = 48;

/// The largest value that a log may hold, in row layout. What a call may pass
/// is [`Limits::value_bytes`]; this bounds what reading a log allocates.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
