//! The heap, and the most that was ever used of it.

use core::{
    alloc::{GlobalAlloc, Layout},
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use embedded_alloc::LlffHeap;

#[cfg_attr(target_os = "none", global_allocator)]
static HEAP: Heap = Heap { blocks: LlffHeap::empty(), peak: AtomicUsize::new(0) };

/// A first-fit heap: blocks have no header, which is what counts on a device.
struct Heap {
    blocks: LlffHeap,
    peak: AtomicUsize,
}

// SAFETY: everything is passed on to `blocks` as it comes.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the same.
        let block = unsafe { self.blocks.alloc(layout) };
        self.peak.fetch_max(self.blocks.used(), Ordering::Relaxed);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same; the block is one of `blocks`.
        unsafe { self.blocks.dealloc(block, layout) }
    }
}

/// Makes the heap of this memory.
///
/// # Safety
///
/// Called once, before anything is allocated. The addresses are RAM that
/// nothing else uses.
pub unsafe fn init(memory: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { HEAP.blocks.init(memory.start, memory.len()) }
}

/// Bytes of the heap: used now, used at most, in all.
#[derive(Clone, Copy, Debug)]
pub struct HeapUse {
    /// Bytes that are allocated.
    pub used: usize,
    /// The most that was ever allocated at once.
    pub peak: usize,
    /// Bytes in all.
    pub size: usize,
}

/// How much of the heap is used.
pub fn usage() -> HeapUse {
    let used = HEAP.blocks.used();
    let size = used + HEAP.blocks.free();
    HeapUse { used, peak: HEAP.peak.load(Ordering::Relaxed), size }
}
