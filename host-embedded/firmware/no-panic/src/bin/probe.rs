//! An index that may be out of bounds: what looks for panics must find it.
#![no_std]
#![no_main]

use no_panic as _;

unsafe extern "Rust" {
    safe fn bytes() -> &'static [u8];
    safe fn number() -> usize;
}

#[unsafe(no_mangle)]
extern "C" fn entry() -> u8 {
    bytes()[number()]
}
