use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use interstice_core::Function;
use serde::Serialize;

use super::{
    call::{call_error_text, kept_where, note_failures, run_due},
    exit::Exit,
    failure::{Failure, Outcome},
    guest_log::{GuestLevel, GuestLogArgs},
    interrupt,
    open::{DataArgs, close, find_reducer},
    output::{self, Format},
    persistence::PersistenceArgs,
    style,
};
use crate::{
    database::Database,
    feed::{Feed, FeedError, Step},
    text::{Rows, RowsError, RowsFormat},
};

/// Bad rows that `--keep-going` shows; the rest is counted.
const BAD_ROWS_SHOWN: u64 = 20;

/// Call a reducer once per row of a CSV or JSONL file.
///
/// CSV: the first line names the columns; a column goes to the parameter of
/// its name. JSONL: one object (or array) of arguments per line. Calls share
/// syncs (group commit), and count as done when they are on the disk; with the
/// durability `system`, when the operating system has them. When the command
/// has ended all are on the disk. Ctrl-C ends it in order, and it says where to
/// go on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The reducer, as MODULE.REDUCER.
    #[arg(value_name = "MODULE.REDUCER")]
    reducer: String,
    /// The file of rows; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Format of the file; without it the file's extension decides, and CSV
    /// for standard input.
    #[arg(long, value_enum, value_name = "FORMAT")]
    input: Option<InputFormat>,
    /// Leave the first rows out.
    #[arg(long, default_value_t = 0, value_name = "ROWS")]
    skip: u64,
    /// Go on behind a bad row, and say at the end how many there were.
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    guest_log: GuestLogArgs,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    persistence: PersistenceArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InputFormat {
    Csv,
    Jsonl,
}

#[derive(Serialize)]
pub(super) struct Answer {
    /// Calls, all on the disk.
    pub(super) calls: u64,
    bad_rows: u64,
    /// Commits, those of subscriptions included.
    pub(super) commits: u64,
    pub(super) log_bytes: u64,
    pub(super) seconds: f64,
    pub(super) calls_per_second: u64,
    state_hash: String,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let format = self.input_format()?;
        let (input, bar) = self.open_input()?;
        let mut database = self.data.open(&self.persistence)?;
        self.guest_log.show(&mut database, GuestLevel::Warn);
        let due = run_due(&mut database)?;
        note_failures(&due, due.len() as u64, &database, &self.data);
        let (reducer, function) = find_reducer(&database, &self.reducer)?;
        let name = self.name();
        let rows = Rows::new(input, format, function.args())
            .map_err(|error| self.cannot_begin(&error, &function))?;
        self.note_unused(rows.unused_columns());
        let before = Before::of(&database);
        let mut feeding = Feeding {
            feed: Feed::new(&mut database, reducer, rows),
            function: &function,
            name: &name,
            bar: &bar,
            skip: self.skip,
            rows_kept: self.skip,
            keep_going: self.keep_going,
        };
        let bad_rows = feeding.run()?;
        let answer = before.answer(&feeding.feed, bad_rows);
        bar.finish_and_clear();
        let (failures, count) = (feeding.feed.first_failures().to_vec(), feeding.feed.failures());
        drop(feeding);
        note_failures(&failures, count, &database, &self.data);
        close(database)?;
        output::answer(self.format, &answer, |out| {
            Ok(writeln!(out, "{}", answer.text(&self.reducer))?)
        })?;
        Ok(if bad_rows == 0 { Exit::Good } else { Exit::Bad })
    }

    fn cannot_begin(&self, error: &RowsError, function: &Function) -> Failure {
        let message = format!("{}: {error}", self.name());
        match error {
            RowsError::Io(_) => Failure::incomplete(message),
            _ => Failure::usage(message).with_help(format!(
                "the parameters of {} are {}",
                self.reducer,
                function.args()
            )),
        }
    }

    fn name(&self) -> String {
        if self.is_stdin() { "standard input".to_owned() } else { self.file.display().to_string() }
    }

    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    fn input_format(&self) -> Result<RowsFormat, Failure> {
        let extension = self.file.extension().and_then(|extension| extension.to_str());
        match (self.input, extension) {
            (Some(InputFormat::Csv), _) => Ok(RowsFormat::Csv),
            (Some(InputFormat::Jsonl), _) => Ok(RowsFormat::Jsonl),
            (None, Some("csv")) => Ok(RowsFormat::Csv),
            (None, Some("jsonl" | "ndjson")) => Ok(RowsFormat::Jsonl),
            (None, _) if self.is_stdin() => Ok(RowsFormat::Csv),
            (None, _) => Err(Failure::usage(format!("the format of {} is not known", self.name()))
                .with_help("say it with `--input csv` or `--input jsonl`")),
        }
    }

    /// The rows' source, with a bar that follows how much of it was read.
    fn open_input(&self) -> Result<(Box<dyn Read>, ProgressBar), Failure> {
        if self.is_stdin() {
            let bar = ProgressBar::new_spinner().with_style(bar_style("{spinner} {msg}"));
            return Ok((Box::new(bar.wrap_read(io::stdin().lock())), bar));
        }
        let file = File::open(&self.file).map_err(Failure::io("open", &self.file))?;
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        let bar = feeding_bar(len);
        Ok((Box::new(bar.wrap_read(file)), bar))
    }

    fn note_unused(&self, columns: &[String]) {
        if !columns.is_empty() {
            let (names, name) = (columns.join(", "), self.name());
            style::note(format!(
                "{} has no parameter for these columns of {name}: {names}",
                self.reducer
            ));
        }
    }
}

/// A feed and those who watch it.
pub(super) struct Feeding<'a, R> {
    pub(super) feed: Feed<'a, R>,
    pub(super) function: &'a Function,
    /// What messages call the file.
    pub(super) name: &'a str,
    pub(super) bar: &'a ProgressBar,
    pub(super) skip: u64,
    /// Rows of the file that are called with, or left out, up to the last sync.
    pub(super) rows_kept: u64,
    pub(super) keep_going: bool,
}

impl<R: Read> Feeding<'_, R> {
    /// Feeds all rows. Returns how many were bad.
    pub(super) fn run(&mut self) -> Result<u64, Failure> {
        let interrupted = interrupt::watch();
        let mut skipped = 0;
        while skipped < self.skip && self.feed.skip().map_err(|error| self.row_failure(&error))? {
            skipped += 1;
        }
        let mut bad_rows = 0;
        loop {
            if interrupted.load(Ordering::Relaxed) {
                return Err(self.interrupt(bad_rows));
            }
            match self.feed.step() {
                Ok(Step::Called) => {}
                Ok(Step::Synced) => {
                    self.rows_kept = self.skip + self.feed.calls() + bad_rows;
                    self.bar.set_message(style::count(self.feed.acknowledged(), "call"));
                }
                Ok(Step::End) => return Ok(bad_rows),
                Err(error) if self.keep_going && error.is_of_one_row() => {
                    bad_rows += 1;
                    if bad_rows <= BAD_ROWS_SHOWN {
                        self.bar.suspend(|| style::note(self.row_text(&error)));
                    }
                }
                Err(error) => {
                    self.bar.finish_and_clear();
                    return Err(self.stop(&error));
                }
            }
        }
    }

    /// Stops because somebody said so: keeps what was called, and says so.
    fn interrupt(&mut self, bad_rows: u64) -> Failure {
        self.bar.finish_and_clear();
        if let Err(error) = self.feed.sync() {
            return self.stop(&error);
        }
        let kept = style::count(self.feed.acknowledged(), "call");
        let rows = self.skip + self.feed.calls() + bad_rows;
        Failure::incomplete("interrupted")
            .with_help(format!("{kept} are kept, on the disk; go on with `--skip {rows}`"))
    }

    /// Stops at a bad row: keeps what was called, and says so.
    fn stop(&mut self, error: &FeedError) -> Failure {
        let failure = self.row_failure(error);
        if !error.is_of_one_row() {
            let kept = style::count(self.feed.acknowledged(), "call");
            let (rows, place) = (self.rows_kept, kept_where(self.feed.database()));
            return failure.with_help(format!(
                "{kept} were {place} before, perhaps a few more: `interstice status` tells; \
                 go on with `--skip {rows}`, or more"
            ));
        }
        if let Err(error) = self.feed.sync() {
            return self.row_failure(&error);
        }
        // The bad row is the one behind those that were called or left out.
        let rows = self.skip + self.feed.calls();
        let kept = style::count(self.feed.acknowledged(), "call");
        failure.with_help(format!(
            "the rows before it ({kept}) are kept, on the disk; mend the row and go on with \
             `--skip {rows}`, or leave bad rows out with `--keep-going`"
        ))
    }

    fn row_failure(&self, error: &FeedError) -> Failure {
        match error {
            FeedError::Rows(RowsError::Io(_)) => Failure::incomplete(self.row_text(error)),
            _ if !error.is_of_one_row() => Failure::incomplete(error),
            _ => Failure::bad(self.row_text(error)),
        }
    }

    /// What is wrong with a row, with the typed error of its call.
    fn row_text(&self, error: &FeedError) -> String {
        match error {
            FeedError::Call { place, source } => {
                let text = call_error_text(self.function, source);
                format!("{}: line {}: {text}", self.name, place.line)
            }
            _ => format!("{}: {error}", self.name),
        }
    }
}

/// A bar for a file of `len` bytes. indicatif shows it on a terminal only.
pub(super) fn feeding_bar(len: u64) -> ProgressBar {
    ProgressBar::new(len).with_style(bar_style("{bar:40.cyan} {percent:>3}%  {msg}  {elapsed}"))
}

fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Where a feed began.
pub(super) struct Before {
    commits: u64,
    log_bytes: u64,
    started: Instant,
}

impl Before {
    pub(super) fn of(database: &Database) -> Self {
        let commits = database.state().next_offset().0;
        Self { commits, log_bytes: database.log().len(), started: Instant::now() }
    }

    pub(super) fn answer<R: Read>(&self, feed: &Feed<'_, R>, bad_rows: u64) -> Answer {
        let elapsed = self.started.elapsed();
        let state = feed.database().state();
        let calls = feed.acknowledged();
        Answer {
            calls,
            bad_rows,
            commits: state.next_offset().0 - self.commits,
            log_bytes: feed.database().log().len() - self.log_bytes,
            seconds: elapsed.as_secs_f64(),
            calls_per_second: (calls as f64 / elapsed.as_secs_f64()) as u64,
            state_hash: format!("{:016x}", state.state_hash()),
        }
    }
}

impl Answer {
    fn text(&self, reducer: &str) -> String {
        let bad = match self.bad_rows {
            0 => String::new(),
            bad => format!(", {} left out", style::count(bad, "bad row")),
        };
        format!(
            "{} of {reducer}, {}{bad}, in {} ({} calls/s); all on the disk",
            style::count(self.calls, "call"),
            style::count(self.commits, "commit"),
            style::duration(Duration::from_secs_f64(self.seconds)),
            style::thousands(self.calls_per_second)
        )
    }
}
