//! The serial line: CMSDK APB UART, as in "Arm Cortex-M System Design Kit
//! Technical Reference Manual", section 4.3. Polled.

use core::{convert::Infallible, ptr};

use embedded_io::{ErrorType, Read, Write};

/// UART 0 of "Application Note AN386", table 3-1 (memory map).
const UART0: usize = 0x4000_4000;

/// DATA: received or transmitted byte.
const DATA: usize = 0x000;
/// STATE.
const STATE: usize = 0x004;
/// STATE: the transmit buffer is full.
const STATE_TX_FULL: u32 = 1 << 0;
/// STATE: the receive buffer is full.
const STATE_RX_FULL: u32 = 1 << 1;
/// CTRL.
const CTRL: usize = 0x008;
/// CTRL: transmit enable.
const CTRL_TX_ENABLE: u32 = 1 << 0;
/// CTRL: receive enable.
const CTRL_RX_ENABLE: u32 = 1 << 1;
/// BAUDDIV: clock cycles per bit, at least 16.
const BAUDDIV: usize = 0x010;

/// 25 MHz by 115,200 baud.
const DIVIDER: u32 = 25_000_000 / 115_200;

/// The serial line.
pub(crate) struct Uart(());

impl Uart {
    /// Switches it on.
    ///
    /// # Safety
    ///
    /// Called once, on a board that has it.
    pub(crate) unsafe fn start() -> Self {
        let mut uart = Self(());
        uart.write_register(BAUDDIV, DIVIDER);
        uart.write_register(CTRL, CTRL_TX_ENABLE | CTRL_RX_ENABLE);
        uart
    }

    fn read_register(&self, register: usize) -> u32 {
        // SAFETY: a register of the UART, which this value alone uses.
        unsafe { ptr::with_exposed_provenance::<u32>(UART0 + register).read_volatile() }
    }

    fn write_register(&mut self, register: usize, value: u32) {
        // SAFETY: a register of the UART, which this value alone uses.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(UART0 + register).write_volatile(value) }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        while self.read_register(STATE) & STATE_RX_FULL == 0 {}
        *first = self.read_register(DATA) as u8;
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while self.read_register(STATE) & STATE_TX_FULL != 0 {}
            self.write_register(DATA, u32::from(*byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
