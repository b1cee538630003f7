//! What a guest may ask of its host: one list.
//!
//! Imports live in the wasm module [`MODULE`]. Pointers and lengths are bytes
//! in the guest's memory; a range outside it traps. Errors that a guest can
//! handle are negative numbers from [`Errno`](crate::errno::Errno); all other
//! failures trap and roll the call back.
//!
//! A guest exports `memory`, and one function per reducer and query, named
//! [`REDUCER_PREFIX`] or [`QUERY_PREFIX`] followed by its name, of type
//! `(args_len: i32) -> ()`.

/// The import module of every host call. Its suffix is the ABI's major version.
pub const MODULE: &str = "interstice_1";

/// A reducer `name` is the export `reducer.name`.
pub const REDUCER_PREFIX: &str = "reducer.";

/// A query `name` is the export `query.name`.
pub const QUERY_PREFIX: &str = "query.";

/// The linear memory that host calls read and write.
pub const MEMORY_EXPORT: &str = "memory";

/// The custom section that carries the schema.
pub const SCHEMA_SECTION: &str = "interstice.schema";

/// A number type of a host call's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A 32-bit integer; pointers and lengths are unsigned.
    I32,
    /// A 64-bit integer.
    I64,
}

/// One host call: name and signature.
#[derive(Clone, Copy, Debug)]
pub struct HostCall {
    /// Import name.
    pub name: &'static str,
    /// Parameter types.
    pub params: &'static [ValueType],
    /// Result type, if any.
    pub result: Option<ValueType>,
}

/// Passes the list of host calls to the macro `$with`, one entry per call:
/// docs, `name(parameter: type, ...) -> result;`.
///
/// What the core gives guests to import, the SDK's imports and the `validate`
/// command are generated from it.
#[macro_export]
macro_rules! for_each_host_call {
    ($with:ident) => {
        $with! {
            /// Copies the call's arguments (in row layout, as long as the export's `args_len`) to `ptr`.
            args_read(ptr: i32);

            /// Sets the call's result: a value in row layout. Traps when a result is already set or the value is malformed.
            return_ok(ptr: i32, len: i32);

            /// Sets the call's typed error; when the export returns, its changes are rolled back. Traps like `return_ok`.
            return_err(ptr: i32, len: i32);

            /// Inserts a row. A zero in the auto-increment column is replaced by the next value, and the
            /// value is also stored into the guest's copy. Returns 0, or `DuplicateKey`.
            /// Traps: table not declared for inserting, malformed row, sequence or budget exhausted.
            insert(table: i32, ptr: i32, len: i32) -> i32;

            /// Replaces the row that has the same primary key. Returns 0, or `NotFound`.
            /// Traps: table not declared for updating, malformed row, budget exhausted.
            update(table: i32, ptr: i32, len: i32) -> i32;

            /// Deletes the row with this primary key (the key columns as a row of their own). Returns 0, or `NotFound`.
            /// Traps: table not declared for deleting, malformed key.
            delete(table: i32, key_ptr: i32, key_len: i32) -> i32;

            /// Copies the row with this primary key to `ptr`. Returns its length, or `NotFound`. A row longer than
            /// `capacity` is not copied; its length is still returned.
            /// Traps: table not declared, malformed key.
            get(table: i32, key_ptr: i32, key_len: i32, ptr: i32, capacity: i32) -> i32;

            /// Opens a scan described by a [`filter::Scan`](crate::filter::Scan). Returns a handle (0 or more).
            /// Traps: table not declared, malformed description, too many open scans.
            scan_open(table: i32, scan_ptr: i32, scan_len: i32) -> i32;

            /// Copies the next matching rows, in key order, each behind its length (u32, little-endian), as many as fit
            /// `capacity`. Returns the bytes written, 0 at the end, or `BufferTooSmall`.
            /// Traps: unknown handle.
            scan_next(handle: i32, ptr: i32, capacity: i32) -> i32;

            /// Closes a scan. Scans left open are closed when the call ends. Traps: unknown handle.
            scan_close(handle: i32);

            /// Counts the rows that a scan matches, in the host. Traps like `scan_open`.
            count(table: i32, scan_ptr: i32, scan_len: i32) -> i64;

            /// Deletes all rows that a scan matches, in the host, and returns how many. Traps like `scan_open` and `delete`.
            delete_where(table: i32, scan_ptr: i32, scan_len: i32) -> i64;

            /// The time of this transaction: microseconds since 1970-01-01T00:00:00Z. A recorded input.
            now() -> i64;

            /// The next number of this transaction's random sequence, which starts from its recorded seed.
            random() -> i64;

            /// Writes a line to the host's log: level 0 error, 1 warn, 2 info, 3 debug, 4 trace.
            /// Not part of the transaction: a rolled back call's lines stay. Text that is not UTF-8 is shown replaced.
            log(level: i32, ptr: i32, len: i32);

            /// Reports a panic's message and location, and traps.
            panic(ptr: i32, len: i32);

            /// Schedules a reducer of this module for time `at` (microseconds, as `now`). Returns 0.
            /// Traps: unknown reducer, not in a reducer, malformed arguments, schedule full.
            schedule(reducer: i32, args_ptr: i32, args_len: i32, at: i64) -> i32;

            /// Calls a declared function of another module inside this transaction, behind a savepoint.
            /// `target` is [`NameId::of_external`](crate::ids::NameId::of_external). Returns the length of its result, to be
            /// fetched with `result_read`, or `CalleeFailed`; then the error's length is what `error_len` returns.
            /// Traps: not declared, module missing or already running, too deep, the callee traps.
            call(target: i32, args_ptr: i32, args_len: i32) -> i32;

            /// The length of the typed error of the last failed `call`.
            error_len() -> i32;

            /// Copies the result or typed error of the last `call` to `ptr`. Traps: no `call` was made.
            result_read(ptr: i32);
        }
    };
}

macro_rules! value_type {
    (i32) => {
        ValueType::I32
    };
    (i64) => {
        ValueType::I64
    };
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $ty:ident),*) $(-> $result:ident)?;)*) => {
        /// The list as data.
        pub const HOST_CALLS: &[HostCall] = &[
            $(HostCall {
                name: stringify!($name),
                params: &[$(value_type!($ty)),*],
                result: table!(@result $($result)?),
            },)*
        ];
    };
    (@result) => { None };
    (@result $ty:ident) => { Some(value_type!($ty)) };
}
for_each_host_call!(table);
