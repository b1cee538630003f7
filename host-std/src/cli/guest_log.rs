//! What guests write to their log, on standard error.

use clap::ValueEnum;

use super::style;
use crate::database::Database;

/// How much of the guests' log lines to show.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct GuestLogArgs {
    /// Show the lines that modules log, up to this level; without it up to
    /// `info`, in `feed` and `demo` up to `warn`.
    #[arg(long = "guest-log", value_enum, value_name = "LEVEL")]
    level: Option<GuestLevel>,
}

/// A level of log lines; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum GuestLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl GuestLogArgs {
    /// Shows lines up to the level that was asked for, else up to `usual`.
    pub(super) fn show(self, database: &mut Database, usual: GuestLevel) {
        let limit = self.level.unwrap_or(usual);
        if limit == GuestLevel::Off {
            return;
        }
        // A guest counts its levels from 0 (error); `Off` is one below.
        let limit = limit as u8 - 1;
        database.runtime_mut().set_guest_log(Box::new(move |line| {
            if line.level <= limit {
                let place = format_args!("{}.{}", line.module, line.function);
                style::guest_line(line.level, place, &line.text);
            }
        }));
    }
}
