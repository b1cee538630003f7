use std::io::Write as _;

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    output::{self, Format},
    style,
};
use crate::flash_plan::{Plan, PlanError};

/// Work out how large a log in flash must be, and how long the flash lasts.
///
/// Half of the region is kept for snapshots, so the state, encoded, has to fit
/// that half. Wear is even: every page is erased as often as any other.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Bytes of the region, as 65536, 64k or 1M.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    region: u64,
    /// Bytes that the flash erases at once.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4k")]
    page: u64,
    /// Bytes that the flash programs at once.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4")]
    word: u64,
    /// Commits an hour: one for a call, and one more for each subscription that
    /// it triggers.
    #[arg(long, value_name = "N")]
    commits_per_hour: f64,
    /// Starts a day: how often power comes back. Each with a commit behind it takes a
    /// page of its own.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    starts_per_day: f64,
    /// Bytes of a commit, as `log-inspect` shows them; the default is one of the
    /// weather module's.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "81")]
    commit: u64,
    /// Bytes of the state as a snapshot, as `interstice snapshot` says.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "16k")]
    snapshot: u64,
    /// Bytes of the device's record buffer.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "512")]
    buffer: u64,
    /// Erases that a page bears, as the flash's data sheet says.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    endurance: u64,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| "sizes are written as 65536, 64k or 1M")?;
    number.checked_mul(unit).ok_or_else(|| "it is too large".into())
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let Self { region, page, word, commit, commits_per_hour, snapshot, buffer, .. } = self;
        let Self { starts_per_day, endurance, .. } = self;
        let plan = Plan {
            region,
            page,
            word,
            commit,
            commits_per_hour,
            starts_per_day,
            snapshot,
            buffer,
            endurance,
        };
        let outlook = plan.outlook().map_err(|error| {
            let message = format!("--{}: {error}", error.field().replace('_', "-"));
            match error {
                PlanError::Number { .. } => Failure::usage(message),
                _ => Failure::bad(message),
            }
        })?;
        output::answer(self.format, &outlook, |out| {
            writeln!(out, "region            {} pages of {}", outlook.pages, style::bytes(page))?;
            writeln!(
                out,
                "snapshot          {} of {} pages that are kept for one",
                outlook.snapshot_pages,
                outlook.pages / 2
            )?;
            writeln!(
                out,
                "starts            {starts_per_day} a day, each with commits in a new page"
            )?;
            writeln!(out, "commits per page  {:.1}", outlook.commits_per_page)?;
            writeln!(
                out,
                "until a snapshot  {}, {}",
                style::count(outlook.commits_per_snapshot.round() as u64, "commit"),
                hours(outlook.hours_per_snapshot)
            )?;
            writeln!(
                out,
                "programmed        {:.2} bytes for each byte of a commit, snapshots included",
                outlook.bytes_per_byte
            )?;
            writeln!(out, "erases            {:.1} for 1,000 commits", outlook.erases_per_1000)?;
            writeln!(
                out,
                "wear              {:.1} erases of each page a year",
                outlook.erases_per_year
            )?;
            writeln!(
                out,
                "lasts             {}, at {} erases",
                years(outlook.years),
                style::thousands(self.endurance)
            )?;
            Ok(())
        })?;
        Ok(Exit::Good)
    }
}

fn hours(hours: f64) -> String {
    match hours {
        hours if hours < 1.0 / 60.0 => "less than a minute".to_owned(),
        hours if hours < 1.0 => style::count((hours * 60.0).round() as u64, "minute"),
        hours if hours < 72.0 => format!("{hours:.1} hours"),
        hours => format!("{:.1} days", hours / 24.0),
    }
}

fn years(years: f64) -> String {
    match years * 365.25 {
        days if days < 1.0 => "less than a day".into(),
        days if days < 365.25 => style::count(days as u64, "day"),
        _ if years < 1_000.0 => format!("{years:.1} years"),
        _ => "more than 1,000 years".into(),
    }
}
