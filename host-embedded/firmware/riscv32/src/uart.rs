//! The serial line: a 16550, as in National Semiconductor's "PC16550D
//! Universal Asynchronous Receiver/Transmitter with FIFOs". Polled.

use core::{convert::Infallible, ptr};

use embedded_io::{ErrorType, Read, Write};

/// `VIRT_UART0` in QEMU's `hw/riscv/virt.c`.
const UART0: usize = 0x1000_0000;

/// RBR when read, THR when written: receiver buffer, transmitter holding.
const DATA: usize = 0;
/// DLL, while DLAB is set: divisor latch, least significant byte.
const DIVISOR_LOW: usize = 0;
/// DLM, while DLAB is set: divisor latch, most significant byte.
const DIVISOR_HIGH: usize = 1;
/// FCR: FIFO control.
const FIFO_CONTROL: usize = 2;
/// FCR: FIFO enable.
const FIFO_ENABLE: u8 = 1 << 0;
/// LCR: line control.
const LINE_CONTROL: usize = 3;
/// LCR: word length 8 bits, one stop bit, no parity.
const LINE_8N1: u8 = 0b11;
/// LCR: divisor latch access bit (DLAB).
const LINE_DIVISOR: u8 = 1 << 7;
/// LSR: line status.
const LINE_STATUS: usize = 5;
/// LSR: data ready (DR).
const STATUS_READY: u8 = 1 << 0;
/// LSR: transmitter holding register empty (THRE).
const STATUS_EMPTY: u8 = 1 << 5;

/// 3.6864 MHz by 16 times 115,200 baud.
const DIVISOR: u16 = 2;

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
        let [low, high] = DIVISOR.to_le_bytes();
        uart.write_register(LINE_CONTROL, LINE_8N1 | LINE_DIVISOR);
        uart.write_register(DIVISOR_LOW, low);
        uart.write_register(DIVISOR_HIGH, high);
        uart.write_register(LINE_CONTROL, LINE_8N1);
        uart.write_register(FIFO_CONTROL, FIFO_ENABLE);
        uart
    }

    fn read_register(&self, register: usize) -> u8 {
        // SAFETY: a register of the UART, which this value alone uses.
        unsafe { ptr::with_exposed_provenance::<u8>(UART0 + register).read_volatile() }
    }

    fn write_register(&mut self, register: usize, value: u8) {
        // SAFETY: a register of the UART, which this value alone uses.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(UART0 + register).write_volatile(value) }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        while self.read_register(LINE_STATUS) & STATUS_READY == 0 {}
        *first = self.read_register(DATA);
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while self.read_register(LINE_STATUS) & STATUS_EMPTY == 0 {}
            self.write_register(DATA, *byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
