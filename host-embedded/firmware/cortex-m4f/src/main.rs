//! The weather station on a Cortex-M4F: Arm MPS2 with application note AN386,
//! as QEMU has it (`mps2-an386`).
#![no_std]
#![no_main]

use core::{ffi::CStr, ops::Range};

use cortex_m as _;
use cortex_m_rt::entry;
use defmt_semihosting as _;
use interstice_firmware::{Board, Part, heap, run};

mod file_flash;
mod timer;
mod uart;

use file_flash::FileFlash;
use timer::Timer;
use uart::Uart;

/// Where the parts of the flash are: files in the directory that the emulator
/// was started in.
const FLASH: [(Part, &CStr, u32); 2] =
    [(Part::Log, c"flash.bin", 1 << 20), (Part::Scratch, c"scratch.bin", 8 << 10)];

struct Mps2 {
    uart: Uart,
    timer: Timer,
}

impl Board for Mps2 {
    const NAME: &'static str = "cortex-m4f";
    type Uart = Uart;
    type Flash = FileFlash;

    fn uart(&mut self) -> &mut Uart {
        &mut self.uart
    }

    fn flash(&mut self, part: Part) -> FileFlash {
        let place = FLASH.iter().find(|(name, ..)| *name == part);
        let (_, path, size) = place.unwrap_or(&FLASH[0]);
        FileFlash::open(path, *size)
    }

    fn instructions(&mut self) -> u64 {
        self.timer.instructions()
    }

    fn stack(&self) -> Range<usize> {
        symbols::stack()
    }
}

#[entry]
fn main() -> ! {
    // SAFETY: first, once, and nothing else uses what lies between statics and stack.
    unsafe { heap::init(symbols::heap()) };
    // SAFETY: once; the addresses are the board's.
    let board = unsafe { Mps2 { uart: Uart::start(), timer: Timer::start() } };
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
