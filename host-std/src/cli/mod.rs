//! The command line: one file per command.
//!
//! Data goes to standard output, everything else to standard error. A command
//! returns how it ended, or a failure that says what to do next.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod build;
mod call;
mod completions;
mod demo;
mod exit;
mod failure;
mod feed;
mod flash_plan;
mod guest_log;
mod install;
mod interrupt;
mod log_check;
mod log_dump;
mod log_inspect;
mod log_pull;
mod log_repair;
mod new;
mod open;
mod output;
mod persistence;
mod query;
mod replay_check;
mod schema;
mod snapshot;
mod state;
mod status;
mod style;
mod validate;

use failure::{Failure, Outcome};

/// Sandboxed WebAssembly modules that own typed tables, with every change in
/// a checksummed log that replays to the same state everywhere.
#[derive(Debug, Parser)]
#[command(name = "interstice", version, after_help = exit::HELP, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    New(new::Args),
    Build(build::Args),
    Validate(validate::Args),
    Schema(schema::Args),
    Install(install::Args),
    Call(call::Args),
    Query(query::Args),
    Feed(feed::Args),
    Status(status::Args),
    State(state::Args),
    LogInspect(log_inspect::Args),
    LogCheck(log_check::Args),
    LogRepair(log_repair::Args),
    LogDump(log_dump::Args),
    LogPull(log_pull::Args),
    Snapshot(snapshot::Args),
    ReplayCheck(replay_check::Args),
    FlashPlan(flash_plan::Args),
    Completions(completions::Args),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command,
        Err(error) => {
            // clap writes help to standard output and errors to standard
            // error; neither is worth a complaint when nobody reads it.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    match command.run() {
        Ok(exit) => exit.into(),
        Err(Failure::BrokenPipe) => exit::Exit::Good.into(),
        Err(Failure::Said(report)) => {
            style::print_report(&report);
            report.exit.into()
        }
    }
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Self::Demo(args) => args.run(),
            Self::New(args) => args.run(),
            Self::Build(args) => args.run(),
            Self::Validate(args) => args.run(),
            Self::Schema(args) => args.run(),
            Self::Install(args) => args.run(),
            Self::Call(args) => args.run(),
            Self::Query(args) => args.run(),
            Self::Feed(args) => args.run(),
            Self::Status(args) => args.run(),
            Self::State(args) => args.run(),
            Self::LogInspect(args) => args.run(),
            Self::LogCheck(args) => args.run(),
            Self::LogRepair(args) => args.run(),
            Self::LogDump(args) => args.run(),
            Self::LogPull(args) => args.run(),
            Self::Snapshot(args) => args.run(),
            Self::ReplayCheck(args) => args.run(),
            Self::FlashPlan(args) => args.run(),
            Self::Completions(args) => args.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::CommandLine::command().debug_assert();
    }
}
