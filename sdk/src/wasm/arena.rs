//! The allocator: an arena that starts behind the module's static data.
//!
//! The host restores the module's memory before each call, so nothing needs to
//! be freed: allocating moves a mark. Only the topmost piece can grow in place
//! or be given back; that is what a `Vec` being filled and a loop's temporary
//! values are, and it keeps them from using memory up.

use core::{
    alloc::{GlobalAlloc, Layout},
    arch::wasm32,
    cell::UnsafeCell,
    ptr,
};

use crate::host;

unsafe extern "C" {
    /// The end of static data; made by the linker, as are the two below.
    static __heap_base: u8;
    /// The end of the memory the module starts with.
    static __heap_end: u8;
    /// The size of a page of memory, as an address: 1 for modules that
    /// `interstice build` makes, otherwise 64 KiB.
    static __wasm_first_page_end: u8;
}

struct Arena {
    /// The first free byte.
    top: UnsafeCell<*mut u8>,
    /// The end of memory.
    end: UnsafeCell<*mut u8>,
}

#[global_allocator]
static ARENA: Arena = Arena {
    top: UnsafeCell::new((&raw const __heap_base).cast_mut()),
    end: UnsafeCell::new((&raw const __heap_end).cast_mut()),
};

// SAFETY: a module has one thread.
unsafe impl Sync for Arena {}

// SAFETY: pieces lie behind all earlier ones that are still in use, inside
// memory, and are aligned; a failure never returns.
unsafe impl GlobalAlloc for Arena {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and the borrow ends with this line.
        let top = unsafe { *self.top.get() };
        let mask = layout.align().wrapping_sub(1);
        let start = top.map_addr(|top| top.wrapping_add(mask) & !mask);
        self.move_top(start.wrapping_add(layout.size()));
        // SAFETY: no memory below the static data is handed out. Said so that
        // the compiler drops what would happen after a failure.
        unsafe { core::hint::assert_unchecked(!start.is_null()) };
        start
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if self.is_topmost(piece, layout.size()) {
            // SAFETY: one thread, and the borrow ends with this line.
            unsafe { *self.top.get() = piece };
        }
    }

    #[inline]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe { core::hint::assert_unchecked(!piece.is_null()) };
        if self.is_topmost(piece, layout.size()) {
            self.move_top(piece.wrapping_add(new_size));
            return piece;
        }
        if new_size <= layout.size() {
            return piece;
        }
        // SAFETY: the caller's promises for `realloc` hold for `alloc` too, and
        // the new piece lies behind the old one.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            ptr::copy_nonoverlapping(piece, new, layout.size());
            new
        }
    }
}

impl Arena {
    fn is_topmost(&self, piece: *mut u8, size: usize) -> bool {
        // SAFETY: one thread, and the borrow ends with this line.
        piece.wrapping_add(size) == unsafe { *self.top.get() }
    }

    /// Makes `top` the first free byte.
    ///
    /// Neither the end of memory nor a piece's size is above `isize::MAX`, so
    /// that the sum of a place in memory and a size does not wrap around.
    fn move_top(&self, top: *mut u8) {
        // SAFETY: one thread, and no borrow lives longer than its line.
        unsafe {
            if top > *self.end.get() {
                self.grow(top);
            }
            *self.top.get() = top;
        }
    }

    /// Makes memory reach to `top` at least.
    #[cold]
    #[inline(never)]
    fn grow(&self, top: *mut u8) {
        let page = (&raw const __wasm_first_page_end).addr();
        // SAFETY: one thread, and the borrow ends with this line.
        let end = unsafe { *self.end.get() };
        if let Some(possible) = (isize::MAX as usize).checked_sub(top.addr()) {
            let missing = top.addr().wrapping_sub(end.addr()).div_ceil(page);
            // Half as much again as there is, so that a growing result is not
            // copied once per row; if the host allows no more, what is needed.
            let generous = missing.wrapping_add((end.addr() / 2).min(possible) / page);
            for pages in [generous, missing] {
                if wasm32::memory_grow::<0>(pages) != usize::MAX {
                    // SAFETY: one thread, and the borrow ends with this line.
                    unsafe { *self.end.get() = end.wrapping_add(pages.wrapping_mul(page)) };
                    return;
                }
            }
        }
        host::panic(b"out of memory")
    }
}
