//! The weather station on RV32IMAC: QEMU's `virt`, with its CFI NOR flash.
#![no_std]
#![no_main]

use core::ops::Range;

use defmt_semihosting as _;
use interstice_firmware::{Board, Part, heap, run};
use riscv::register::minstret;
use riscv_rt::entry;

mod cfi_flash;
mod uart;

use cfi_flash::{CfiFlash, SECTOR};
use uart::Uart;

/// Sectors of the log, from the first.
const LOG_SECTORS: u32 = 8;
/// Where the sectors of the self-test begin: behind the log.
const SCRATCH_SECTOR: u32 = LOG_SECTORS;
/// Sectors of the self-test.
const SCRATCH_SECTORS: u32 = 2;

struct Virt {
    uart: Uart,
}

impl Board for Virt {
    const NAME: &'static str = "riscv32";
    type Uart = Uart;
    type Flash = CfiFlash;

    fn uart(&mut self) -> &mut Uart {
        &mut self.uart
    }

    fn flash(&mut self, part: Part) -> CfiFlash {
        let (first, count) = match part {
            Part::Log => (0, LOG_SECTORS),
            Part::Scratch => (SCRATCH_SECTOR, SCRATCH_SECTORS),
        };
        let sector = SECTOR as u32;
        // SAFETY: one thread, and no operation leaves the chips in the middle of another.
        unsafe { CfiFlash::new(first * sector, count * sector) }
    }

    fn instructions(&mut self) -> u64 {
        minstret::read64()
    }

    fn stack(&self) -> Range<usize> {
        symbols::stack()
    }
}

#[entry]
fn main() -> ! {
    // SAFETY: first, once, and nothing else uses what lies between statics and stack.
    unsafe { heap::init(symbols::heap()) };
    // SAFETY: once; the address is the board's.
    let board = unsafe { Virt { uart: Uart::start() } };
    run(board)
}

/// Where the linker script has put things.
mod symbols {
    use core::ops::Range;

    unsafe extern "C" {
        static __sheap: u8;
        static _stack_end: u8;
        static _stack_start: u8;
    }

    pub(super) fn heap() -> Range<usize> {
        (&raw const __sheap).addr()..(&raw const _stack_end).addr()
    }

    pub(super) fn stack() -> Range<usize> {
        (&raw const _stack_end).addr()..(&raw const _stack_start).addr()
    }
}
