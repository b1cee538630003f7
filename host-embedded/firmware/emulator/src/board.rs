//! The boards, and how QEMU is started for them.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};

/// A board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Board {
    /// Arm MPS2 with application note AN386.
    CortexM4f,
    /// QEMU's `virt` with RV32IMAC.
    Riscv32,
}

/// The file of the RISC-V board's flash bank, and its size.
const BANK: (&str, u64) = ("bank.bin", 32 << 20);

impl Board {
    /// The name that the board prints.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CortexM4f => "cortex-m4f",
            Self::Riscv32 => "riscv32",
        }
    }

    /// Makes the flash of a board that is new: erased.
    pub(crate) fn make_flash(self, folder: &Path) -> Result<()> {
        // The other board's firmware makes its own.
        if self == Self::Riscv32 {
            let (name, size) = BANK;
            let mut file = File::create(folder.join(name)).context(name)?;
            let erased = [0xFF; 1 << 16];
            for _ in 0..size / erased.len() as u64 {
                file.write_all(&erased).context(name)?;
            }
        }
        Ok(())
    }

    /// Bytes of the log's flash, as in the firmware.
    pub(crate) fn log_size(self) -> usize {
        match self {
            Self::CortexM4f => 1 << 20,
            Self::Riscv32 => 8 * (256 << 10),
        }
    }

    /// The first bytes of the flash, where the log is.
    pub(crate) fn read_flash(self, folder: &Path, size: usize) -> Result<Vec<u8>> {
        let name = match self {
            Self::CortexM4f => "flash.bin",
            Self::Riscv32 => BANK.0,
        };
        let mut bytes = vec![0; size];
        let mut file = File::open(folder.join(name)).context(name)?;
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut bytes).context(name)?;
        Ok(bytes)
    }

    /// The emulator of the board, with its image.
    pub(crate) fn qemu(self, image: &Path) -> Command {
        let (program, args, load) = match self {
            Self::CortexM4f => {
                ("qemu-system-arm", "-M mps2-an386 -cpu cortex-m4".to_owned(), "-kernel")
            }
            Self::Riscv32 => {
                let drive = format!("-drive if=pflash,format=raw,unit=1,file={}", BANK.0);
                ("qemu-system-riscv32", format!("-M virt {drive}"), "-bios")
            }
        };
        let mut command = Command::new(program);
        command.args(args.split(' ')).arg(load).arg(image);
        command
    }
}
