//! Runs the weather station in QEMU, feeds it readings over its serial line,
//! and compares what it answers with the desktop.
//!
//! - [`desktop`]: what every answer must be;
//! - [`emulator`]: a board that can be talked to, and killed;
//! - [`feeding`]: all readings, with kills on the way;
//! - [`measuring`]: memory and instructions;
//! - [`flash_image`]: the log in a board's flash, compared with the desktop's;
//! - [`pulled`]: the log as it comes over the serial line.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

mod board;
mod desktop;
mod emulator;
mod feeding;
mod flash_image;
mod image;
mod log_lines;
mod measuring;
mod pulled;
mod random;

use board::Board;
use desktop::Desktop;

/// Runs the weather station in QEMU, and compares it with the desktop.
#[derive(Parser)]
struct Args {
    /// The board.
    #[arg(long)]
    board: Board,
    /// Its image.
    #[arg(long)]
    image: PathBuf,
    /// The module in the image, `weather.wasm`.
    #[arg(long)]
    module: PathBuf,
    /// The readings, as CSV.
    #[arg(long)]
    readings: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Feeds all readings, kills the board on the way, and pulls its log.
    Feed {
        /// How often the board is killed, at least.
        #[arg(long, default_value_t = 60)]
        kills: usize,
        /// Decides when.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where to write the log as it comes over the serial line at the end.
        #[arg(long)]
        stream: Option<PathBuf>,
        /// Where to write the flash as a kill has left it: after the one that left
        /// the most commits in it.
        #[arg(long)]
        killed: Option<PathBuf>,
    },
    /// Measures memory and instructions.
    Measure,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("firmware-emulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    // QEMU is started elsewhere.
    let image = args.image.canonicalize().with_context(|| args.image.display().to_string())?;
    let desktop = Desktop::run(&args.module, &args.readings)?;
    match args.command {
        Command::Feed { kills, seed, ref stream, ref killed } => {
            let (stream, killed) = (stream.as_deref(), killed.as_deref());
            feeding::feed(args.board, &image, &desktop, kills, seed, stream, killed)
        }
        Command::Measure => measuring::measure(args.board, &image, &desktop),
    }
}
