//! Everything that a contributor runs: `cargo xtask --help`.

use std::process::ExitCode;

use clap::Parser;

mod contracts;
mod coverage;
mod firmware;
mod no_panic;
mod run;
mod setup;
mod steps;
mod tidy;

/// Everything that a contributor runs.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Everything that proves the project. Installs what it needs, and says so.
    Test,
    /// Formatting, clippy, documentation, licences, and rules of this project.
    Lint,
    /// The rules of this project alone.
    Tidy {
        /// Takes formats and the guest interface as they are now for right.
        #[arg(long)]
        accept: bool,
    },
    /// Builds for the targets without an operating system.
    Targets,
    /// The tests, with the line coverage of core, abi and the log in files.
    Coverage,
    /// The long versions of the tests with faults: crashes, damage, kills.
    Torture {
        /// Images of disks after a crash.
        #[arg(long, default_value_t = 1_000_000)]
        images: u64,
        /// Bursts of damage.
        #[arg(long, default_value_t = 1_000_000)]
        bursts: u64,
        /// Processes that are killed.
        #[arg(long, default_value_t = 10_000)]
        kills: u64,
        /// Power is cut in flash at one of so many bytes and points, in every ring and word size.
        #[arg(long, default_value_t = 1)]
        flash_step: u64,
        /// Devices whose power is cut several times.
        #[arg(long, default_value_t = 1_000_000)]
        flash_seeds: u64,
        /// Bursts of damage in flash, in rounds of 20.
        #[arg(long, default_value_t = 50_000)]
        flash_bursts: u64,
        /// Images of flash that hold anything.
        #[arg(long, default_value_t = 1_000_000)]
        flash_images: u64,
        /// Records that are written to 16 pages.
        #[arg(long, default_value_t = 10_000_000)]
        flash_records: u64,
    },
    /// Looks for panics in an image of the logs of devices: none may be in reach.
    NoPanic,
    /// The firmware on both boards, in QEMU: a year of readings, with kills.
    Firmware {
        /// How often each board is killed.
        #[arg(long, default_value_t = 60)]
        kills: u64,
    },
    /// Flash, memory and instructions of the firmware; fails when they have grown.
    Size {
        /// Takes the figures as they are now for right.
        #[arg(long)]
        accept: bool,
    },
    /// The benches.
    Bench,
}

fn main() -> ExitCode {
    let command = Command::parse();
    let done = match command {
        Command::Test => steps::test(),
        Command::Lint => steps::lint(),
        Command::Tidy { accept } => steps::tidy(accept),
        Command::Targets => steps::targets(),
        Command::Coverage => steps::coverage(),
        Command::Torture {
            images,
            bursts,
            kills,
            flash_step,
            flash_seeds,
            flash_bursts,
            flash_images,
            flash_records,
        } => steps::torture(&[
            ("INTERSTICE_CRASH_IMAGES", images),
            ("INTERSTICE_BURSTS", bursts),
            ("INTERSTICE_KILL_ROUNDS", kills),
            ("INTERSTICE_FLASH_STEP", flash_step),
            ("INTERSTICE_FLASH_SEEDS", flash_seeds),
            ("INTERSTICE_FLASH_BURSTS", flash_bursts),
            ("INTERSTICE_FLASH_IMAGES", flash_images),
            ("INTERSTICE_FLASH_RECORDS", flash_records),
        ]),
        Command::NoPanic => steps::no_panic(),
        Command::Firmware { kills } => firmware::check(kills),
        Command::Size { accept } => firmware::size(accept),
        Command::Bench => steps::bench(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nxtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
