//! The command line: one file per command.
//!
//! Data goes to standard output, everything else to standard error. A command
//! returns how it ended, or a failure that says what to do next.

use std::process::ExitCode;

use clap::{
    ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, parser::ValueSource,
};

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
mod progress;
mod query;
mod replay_check;
mod run_due;
mod schema;
mod snapshot;
mod state;
mod status;
mod style;
mod validate;

use failure::{Failure, Outcome, Report};
use output::RowsFormat;

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
    RunDue(run_due::Args),
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
    let matches = CommandLine::command().try_get_matches();
    let parsed = matches
        .and_then(|matches| Ok((CommandLine::from_arg_matches(&matches)?, format(&matches))));
    let (command, format) = match parsed {
        Ok((line, format)) => (line.command, format),
        Err(error) => {
            if error.use_stderr() {
                let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
                let _ = output::error_answer(format_of_words(words), &usage(&error));
            }
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
            // Who cannot be told here reads it there.
            let _ = output::error_answer(format, &report);
            style::print_report(&report);
            report.exit.into()
        }
    }
}

/// What clap says of a command line that makes no sense.
fn usage(error: &clap::Error) -> Report {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    Report::usage(message.strip_prefix("error: ").unwrap_or(message).trim_end())
}

/// The format that was asked for, in words that make no sense as a whole.
fn format_of_words(words: impl Iterator<Item = String>) -> RowsFormat {
    let mut words = words.skip_while(|word| !word.starts_with("--format"));
    let value = words.next().and_then(|word| match word.split_once('=') {
        Some((_, value)) => Some(value.to_owned()),
        None => words.next(),
    });
    value.and_then(|value| RowsFormat::from_str(&value, false).ok()).unwrap_or_default()
}

/// The format that was asked for, by a flag that most commands have.
fn format(matches: &ArgMatches) -> RowsFormat {
    if let Some((_, matches)) = matches.subcommand() {
        return format(matches);
    }
    let is_given = || matches.value_source("format") == Some(ValueSource::CommandLine);
    match matches.try_get_raw("format") {
        Ok(Some(mut values)) if is_given() => {
            let value = values.next().and_then(|value| value.to_str());
            value.and_then(|value| RowsFormat::from_str(value, false).ok()).unwrap_or_default()
        }
        _ => RowsFormat::Text,
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
            Self::RunDue(args) => args.run(),
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
    use super::*;

    #[test]
    fn the_format_is_found_in_words_that_make_no_sense() {
        let format = |line: &str| format_of_words(line.split(' ').map(str::to_owned));
        assert_eq!(format("interstice status --format json --nope"), RowsFormat::Json);
        assert_eq!(format("interstice status --nope --format=yaml"), RowsFormat::Yaml);
        assert_eq!(format("interstice status --format"), RowsFormat::Text);
        assert_eq!(format("interstice statos"), RowsFormat::Text);
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
