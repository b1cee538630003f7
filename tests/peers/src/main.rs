//! Interstice's log next to its peers, and what start-up and group commit cost.
//! What is compared and how is in README.md.

mod database;
mod flash;
mod logs;
mod median;
mod node;
mod peers;
mod records;
mod scratch;
mod startup;
mod table;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures Interstice next to its peers.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    scratch: ScratchArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct ScratchArgs {
    /// Directory in which everything is written, and removed again. By default
    /// one under `target`, beside this program's sources.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Append the same records to each log, in four patterns, and read them back.
    Logs(logs::Options),
    /// Append the same records to each log in flash, and flip bits in what is there.
    Flash(flash::Options),
    /// Start up from a million commits: by the log, and by a snapshot.
    Startup(startup::Options),
    /// Many callers of one node: group commit against a sync for each commit.
    Node(node::Options),
    #[command(subcommand, hide = true)]
    Child(startup::Child),
}

fn main() -> ExitCode {
    let Cli { scratch, command } = Cli::parse();
    let done = match command {
        Command::Logs(options) => logs::run(scratch.dir.as_deref(), &options),
        Command::Flash(options) => flash::run(&options),
        Command::Startup(options) => startup::run(scratch.dir.as_deref(), &options),
        Command::Node(options) => node::run(scratch.dir.as_deref(), &options),
        Command::Child(child) => startup::run_child(&child),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}
