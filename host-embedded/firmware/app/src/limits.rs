use interstice_core::Limits;

/// What the device can afford. Every limit decides which calls fail, so a log
/// is re-executed with these. The module is validated with them when the
/// firmware is built.
pub(crate) fn limits() -> Limits {
    Limits {
        module_bytes: 64 << 10,
        modules: 1,
        guest_memory_bytes: 64 << 10,
        guest_table_elements: 256,
        guest_recursion: 32,
        guest_stack_bytes: 4 << 10,
        waiting_bytes: 16 << 10,
        ..Limits::default()
    }
}
