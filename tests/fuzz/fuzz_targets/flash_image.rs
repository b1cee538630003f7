//! A region of flash is mounted and replayed, or refused, whatever it holds: it
//! is read twice at most, and nothing larger than the region is allocated.
#![no_main]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use libfuzzer_sys::fuzz_target;

#[path = "../../../host-embedded/tests/flash/any_image.rs"]
mod any_image;

use any_image::AnyImage;

/// Where a region is smaller, as much may be allocated at once.
const ALLOCATION_MIN: usize = 4096;

struct Largest;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator as it comes.
unsafe impl GlobalAlloc for Largest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Largest = Largest;

fuzz_target!(|input: &[u8]| {
    let Some(image) = AnyImage::of(input) else { return };
    LARGEST.store(0, Ordering::Relaxed);
    let _ = image.check();
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest <= image.len().max(ALLOCATION_MIN), "{largest} bytes were allocated");
    image.open();
});
