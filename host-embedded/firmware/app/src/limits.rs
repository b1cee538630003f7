use interstice_core::Limits;

/// What the device can afford. Every limit decides which calls fail, so the log
/// says which they were, and is re-executed with these. The module is validated with them when the
/// firmware is built. `table_bytes` is for boards with 4 MiB of memory: a year of
/// readings is half of it.
pub(crate) fn limits() -> Limits {
    Limits {
        module_bytes: 64 << 10,
        modules: 1,
        guest_memory_bytes: 64 << 10,
        guest_table_elements: 256,
        guest_recursion: 32,
        guest_stack_bytes: 4 << 10,
        value_bytes: 4 << 10,
        transaction_bytes: 16 << 10,
        transaction_rows: 256,
        table_bytes: 2 << 20,
        queue_len: 64,
        schedule_len: 64,
        waiting_bytes: 16 << 10,
        ..Limits::default()
    }
}
