//! Everything that a contributor runs: `cargo xtask --help`.

use std::process::ExitCode;

use clap::Parser;

mod contracts;
mod coverage;
mod firmware;
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
    },
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
        Command::Torture { images, bursts, kills } => steps::torture(images, bursts, kills),
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
