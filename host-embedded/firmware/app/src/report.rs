//! One-line answers.

use embedded_io::Write;

use crate::{board::Board, heap, led::Led, stack, station::Station};

/// What mounting has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MountCost {
    pub(crate) instructions: u64,
    pub(crate) commits: u64,
}

/// `status NEXT HASH heap USED PEAK SIZE stack PEAK SIZE led on|off`
pub(crate) fn status<B: Board>(board: &mut B, station: &Station<B::Flash>, led: &Led) {
    let (next, hash) = (station.state().next_offset(), station.state().state_hash());
    let heap = heap::usage();
    let area = board.stack();
    let size = area.len();
    // SAFETY: the board says where its stack is.
    let peak = unsafe { stack::peak(area) };
    let led = if led.is_on() { "on" } else { "off" };
    let _ = writeln!(
        board.uart(),
        "status {next} {hash:016x} heap {} {} {} stack {peak} {size} led {led}",
        heap.used,
        heap.peak,
        heap.size,
    );
}

/// `cycles INSTRUCTIONS COMMITS`
pub(crate) fn cycles<B: Board>(board: &mut B, cost: MountCost) {
    let _ = writeln!(board.uart(), "cycles {} {}", cost.instructions, cost.commits);
}
