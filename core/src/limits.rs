//! Every capacity, in one place.
//!
//! Limits decide which calls fail, so they belong to the history: a log is
//! re-executed with the limits it was recorded under. Replay of effects does
//! not depend on them.

/// The capacities of a runtime. A call that would exceed one is rolled back
/// with an error that names it; the process never dies of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a module file.
    pub module_bytes: usize,
    /// Modules installed.
    pub modules: usize,
    /// Bytes of a guest's linear memory.
    pub guest_memory_bytes: usize,
    /// Elements of a guest's table, which holds the functions it calls indirectly.
    pub guest_table_elements: usize,
    /// Fuel of one call, including the calls it makes into other modules.
    pub fuel_per_call: u64,
    /// Nested function calls inside a guest.
    pub guest_recursion: usize,
    /// Bytes of a guest's value stack.
    pub guest_stack_bytes: usize,
    /// Calls from module to module inside one transaction.
    pub call_depth: usize,
    /// Scans a call may have open at once.
    pub open_scans: usize,
    /// Bytes of one row, or of the arguments or result of one call, in row
    /// layout. At most [`VALUE_BYTES_MAX`]; more counts as that.
    pub value_bytes: usize,
    /// Bytes of the rows, and of the arguments of scheduled calls, that one
    /// transaction may hold back.
    pub transaction_bytes: usize,
    /// Rows that one transaction may touch.
    pub transaction_rows: usize,
    /// Bytes of a row's primary key, as it is kept in order: a string has two for
    /// each zero, and two at its end.
    pub key_bytes: usize,
    /// Bytes of one table: rows, keys and [`ROW_OVERHEAD`] per row.
    pub table_bytes: u64,
    /// Length of a chain of subscriptions.
    pub subscription_depth: u32,
    /// Subscriptions waiting to run.
    pub queue_len: usize,
    /// Calls waiting for their time.
    pub schedule_len: usize,
    /// Bytes of the arguments of all that waits: of a subscription, the row, or the
    /// rows before and after, for each reducer that it runs.
    pub waiting_bytes: u64,
}

/// What a row is counted for besides its bytes and its key's, in
/// [`Limits::table_bytes`]. Fixed, so that a budget means the same everywhere.
pub const ROW_OVERHEAD: usize = 48;

/// The largest value that a log may hold, in row layout. What a call may pass
/// is [`Limits::value_bytes`]; this bounds what reading a log allocates.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

impl Default for Limits {
    /// Limits for a desktop or server.
    fn default() -> Self {
        Self {
            module_bytes: 4 << 20,
            modules: 256,
            guest_memory_bytes: 16 << 20,
            guest_table_elements: 1 << 16,
            fuel_per_call: 100_000_000,
            guest_recursion: 256,
            guest_stack_bytes: 256 << 10,
            call_depth: 8,
            open_scans: 16,
            value_bytes: 1 << 20,
            transaction_bytes: 64 << 20,
            transaction_rows: 1 << 16,
            key_bytes: 4096,
            table_bytes: 4 << 30,
            subscription_depth: 16,
            queue_len: 1 << 16,
            schedule_len: 1 << 16,
            waiting_bytes: 256 << 20,
        }
    }
}
