//! What a panic does: it says where, and stops. Nothing that was acknowledged
//! is lost by it.

use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
    defmt::error!("panic at {}:{}: {}", file, line, defmt::Display2Format(&info.message()));
    loop {
        core::hint::spin_loop();
    }
}
