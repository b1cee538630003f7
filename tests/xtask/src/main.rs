//! Everything that a contributor runs: `cargo xtask --help`.

use std::process::ExitCode;

use clap::Parser;

mod contracts;
mod coverage;
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
    /// The tests, with the line coverage of core and abi.
    Coverage,
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
