//! What a panic does: it says where, and stops. Nothing that was acknowledged
//! is lost by it.
//!
//! What the panic says is in the source, at that place. It is not read here: so
//! the optimizer drops it, and with it all that writes out values for panics.

use core::panic::PanicInfo;

#[panic_handler]
#[expect(
    unused_attributes,
    reason = "rustc takes it for useless; the optimizer inlines by it, and only then sees that no message is read"
)]
#[inline(always)]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
    defmt::error!("panic at {}:{}", file, line);
    loop {
        core::hint::spin_loop();
    }
}
