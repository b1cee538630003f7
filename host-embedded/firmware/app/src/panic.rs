//! What a panic does: it says where, and stops. Nothing that was acknowledged
//! is lost by it.
//!
//! What the panic says is in the source, at that place. Left unread here, the
//! linker drops it, and with it the code that would write out values of every
//! type that a panic anywhere could show.

use core::panic::PanicInfo;

#[panic_handler]
#[inline(always)]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
    defmt::error!("panic at {}:{}", file, line);
    loop {
        core::hint::spin_loop();
    }
}
