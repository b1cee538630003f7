use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use indicatif::ProgressBar;
use interstice_core::{Function, FunctionRef, TxOffset};
use serde::Serialize;

use super::{
    call::{FailedAnswer, call_error_text, failed_call, kept_where, note_failures, run_due_first},
    exit::Exit,
    failure::{Failure, Outcome},
    guest_log::{GuestLevel, GuestLogArgs},
    interrupt,
    open::{DataArgs, close, find_reducer, note_failed_snapshot},
    output::{self, Format},
    persistence::PersistenceArgs,
    progress, style,
};
use crate::{
    database::Database,
    feed::{Feed, FeedError, RowSource, RowStream, Step},
    text::{Rows, RowsError, RowsFormat},
};

mod log_count;

/// How long to wait for the first row before looking for Ctrl-C again.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// Bad rows that `--keep-going` shows; of the rest the lines are named.
const BAD_ROWS_SHOWN: usize = 20;

/// Lines of those not shown that are named.
const BAD_LINES_NAMED: usize = 100;

/// Call a reducer once per row of a CSV or JSONL file.
///
/// CSV: the first line names the columns; a column goes to the parameter of
/// its name, with cells as `interstice call --help` shows them. JSONL: one object
/// (or array) of arguments per line, with no other fields. What `query` writes can be
/// fed where the reducer takes what the query returns: as JSONL, and as CSV if no
/// column is a part of a struct.
///
/// Calls share syncs (group commit), and count as done when they are on the disk;
/// with the durability `system`, when the operating system has them. When the
/// command has ended all are on the disk. Rows of a pipe are called as they come.
/// Ctrl-C ends it in order, and it says where to go on.
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

/// Where rows come from.
enum Input {
    /// All of them are there.
    File(File),
    /// A pipe, a terminal: they come when they like.
    Arriving(Box<dyn Read + Send>),
}

#[derive(Serialize)]
pub(super) struct Answer {
    /// Calls, all on the disk.
    pub(super) calls: u64,
    bad_rows: u64,
    /// The lines that they begin on.
    bad_lines: Vec<u64>,
    /// Subscriptions that ran behind the calls and failed: the first few of them.
    failed: Vec<FailedAnswer>,
    /// How many failed.
    failures: u64,
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
        let input = self.open_input()?;
        let mut database = self.data.open(&self.persistence)?;
        self.guest_log.show(&mut database, GuestLevel::Warn);
        let (reducer, function) = find_reducer(&database, &self.reducer)?;
        let due = run_due_first(&mut database)?;
        note_failures(&due, due.len() as u64, &database, &self.data);
        let cannot_begin = |error: RowsError| self.cannot_begin(&error, &function);
        let target = (reducer, &function);
        let file = match input {
            Input::File(file) => file,
            Input::Arriving(input) => {
                let bar = progress::spinner();
                let rows = RowStream::start(bar.wrap_read(input), format, function.args());
                let mut rows = rows.map_err(|error| cannot_begin(error.into()))?;
                let interrupted = interrupt::watch();
                let unused = loop {
                    if interrupted.load(Ordering::Relaxed) {
                        return Err(interrupt_failure(0, self.skip));
                    }
                    if let Some(unused) = rows.begin(FIRST_WAIT).map_err(cannot_begin)? {
                        break unused;
                    }
                };
                self.note_unused(&unused);
                return self.feed(database, target, rows, &bar);
            }
        };
        let bar = progress::bar(file.metadata().map_or(0, |metadata| metadata.len()), "{msg}");
        let rows = Rows::new(bar.wrap_read(file), format, function.args()).map_err(cannot_begin)?;
        self.note_unused(rows.unused_columns());
        self.feed(database, target, rows, &bar)
    }

    fn feed(
        &self,
        mut database: Database,
        (reducer, function): (FunctionRef, &Function),
        rows: impl RowSource,
        bar: &ProgressBar,
    ) -> Outcome {
        let before = Before::of(&database);
        let name = self.name();
        let mut feeding = Feeding {
            feed: Feed::new(&mut database, reducer, rows),
            function,
            name: &name,
            bar,
            synced: before.synced(),
            before,
            skip: self.skip,
            keep_going: self.keep_going,
            bad_lines: Vec::new(),
            bad_rows_behind: Vec::new(),
        };
        feeding.run()?;
        let answer = feeding.answer();
        bar.finish_and_clear();
        let (failures, count) = (feeding.feed.first_failures().to_vec(), feeding.feed.failures());
        drop(feeding);
        note_failures(&failures, count, &database, &self.data);
        close(database)?;
        output::answer(self.format, &answer, |out| {
            Ok(writeln!(out, "{}", answer.text(&self.reducer))?)
        })
        .map_err(|failure| failure.but_done("all rows are called with, and on the disk"))?;
        Ok(if answer.bad_rows == 0 { Exit::Good } else { Exit::Bad })
    }

    fn cannot_begin(&self, error: &RowsError, function: &Function) -> Failure {
        let message = format!("{}: {error}", self.name());
        match error {
            RowsError::Io(_) => Failure::incomplete(message),
            RowsError::Columns(_) if self.is_stdin() && self.input.is_none() => {
                Failure::usage(message).with_help(format!(
                    "the parameters of {} are {}; standard input is read as CSV, rows of JSON with \
                     `--input jsonl`",
                    self.reducer,
                    function.args()
                ))
            }
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

    fn open_input(&self) -> Result<Input, Failure> {
        if self.is_stdin() {
            return Ok(Input::Arriving(Box::new(io::stdin())));
        }
        let file = File::open(&self.file).map_err(Failure::io("open", &self.file))?;
        let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        Ok(if is_regular { Input::File(file) } else { Input::Arriving(Box::new(file)) })
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
pub(super) struct Feeding<'a, S> {
    pub(super) feed: Feed<'a, S>,
    pub(super) function: &'a Function,
    /// What messages call the file.
    pub(super) name: &'a str,
    pub(super) bar: &'a ProgressBar,
    pub(super) before: Before,
    pub(super) skip: u64,
    pub(super) keep_going: bool,
    /// The lines of rows that are left out.
    pub(super) bad_lines: Vec<u64>,
    /// Where the log ended when everything was last acknowledged, and how many
    /// calls that were.
    pub(super) synced: (TxOffset, u64),
    /// Of the bad rows since the last sync: how many calls were before each.
    pub(super) bad_rows_behind: Vec<u64>,
}

impl<S: RowSource> Feeding<'_, S> {
    /// Feeds all rows.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let interrupted = interrupt::watch();
        let mut skipped = 0;
        loop {
            if interrupted.load(Ordering::Relaxed) {
                return Err(self.interrupt());
            }
            let step = if skipped < self.skip { self.feed.skip() } else { self.feed.step() };
            match step {
                Ok(Step::Called | Step::Waiting) => {}
                Ok(Step::Skipped) => skipped += 1,
                Ok(Step::Synced) => {
                    self.bad_rows_behind.clear();
                    let state = self.feed.database().state();
                    self.synced = (state.next_offset(), self.feed.acknowledged());
                    self.bar.set_message(style::count(self.feed.acknowledged(), "call"));
                    if let Err(failure) = self.feed.snapshot_if_due() {
                        self.bar.suspend(|| note_failed_snapshot(&failure));
                    }
                }
                Ok(Step::End) => {
                    self.note_not_shown();
                    self.note_short(skipped);
                    return Ok(());
                }
                Err(error) if self.keep_going && error.is_of_one_row() => self.leave_out(&error),
                Err(error) => {
                    self.bar.finish_and_clear();
                    self.note_not_shown();
                    return Err(self.stop(&error));
                }
            }
        }
    }

    fn leave_out(&mut self, error: &FeedError) {
        self.bad_lines.push(error.line().unwrap_or_default());
        if self.feed.acknowledged() < self.feed.calls() {
            self.bad_rows_behind.push(self.feed.calls());
        }
        if self.bad_lines.len() <= BAD_ROWS_SHOWN {
            self.bar.suspend(|| style::note(self.row_text(error)));
        }
    }

    /// Names the rows that were left out and not shown.
    fn note_not_shown(&self) {
        let Some(lines @ [_, ..]) = self.bad_lines.get(BAD_ROWS_SHOWN..) else { return };
        let named: Vec<String> = lines.iter().take(BAD_LINES_NAMED).map(u64::to_string).collect();
        let more = match lines.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more, which --format json lists"),
        };
        style::note(format!(
            "{} left out and not shown: lines {}{more} of {}",
            style::count(lines.len() as u64, "bad row"),
            named.join(", "),
            self.name
        ));
    }

    /// Stops because somebody said so: keeps what was called, and says so.
    fn interrupt(&mut self) -> Failure {
        self.bar.finish_and_clear();
        self.note_not_shown();
        match self.feed.sync() {
            Ok(()) => interrupt_failure(self.feed.calls(), self.rows_up_to(self.feed.calls())),
            Err(error) => self.stop(&error),
        }
    }

    /// Says that there were fewer rows than were to be left out.
    fn note_short(&self, skipped: u64) {
        if skipped < self.skip {
            let rows = style::count(skipped, "row");
            style::note(format!("{} has no more than {rows}: all are left out", self.name));
        }
    }

    /// Stops at a bad row, or what ends all rows: keeps what was called, and
    /// says so.
    fn stop(&mut self, error: &FeedError) -> Failure {
        let failure = self.row_failure(error);
        let is_of_rows = error.is_of_one_row() || matches!(error, FeedError::Rows(_));
        if !is_of_rows || self.feed.sync().is_err() {
            return failure.with_help(self.where_the_log_ends());
        }
        // The row it stops at is the one behind those that were called or left out.
        let rows = self.rows_up_to(self.feed.calls());
        let kept = style::count(self.feed.acknowledged(), "call");
        failure.with_help(match error.is_of_one_row() {
            true => format!(
                "the rows before it ({kept}) are kept, on the disk; mend the row and go on with \
                 `--skip {rows}`, or leave bad rows out with `--keep-going`"
            ),
            false => format!("{kept} kept, on the disk; go on with `--skip {rows}`"),
        })
    }

    /// Where to go on when the log takes nothing more: what reached it counts,
    /// acknowledged or not, because the next opening finds it and keeps it.
    fn where_the_log_ends(&self) -> String {
        let database = self.feed.database();
        // What is before may have been let go.
        let (from, before) = self.synced;
        let path = database.data_dir().path();
        match log_count::calls(path, from).map(|calls| before + calls) {
            Ok(calls) => {
                let (kept, rows) = (style::count(calls, "call"), self.rows_up_to(calls));
                format!(
                    "{kept} are in the log; when it can be written, go on with `--skip {rows}` (if \
                     the system restarts before, `interstice status` tells what is left)"
                )
            }
            Err(error) => {
                let kept = style::count(self.feed.acknowledged(), "call");
                let rows = self.rows_up_to(self.feed.acknowledged());
                format!(
                    "{kept} were {} before, and what the log has behind them cannot be read \
                     ({error}); go on with `--skip {rows}`, and one more for every call that \
                     `interstice log-inspect` shows behind",
                    kept_where(database)
                )
            }
        }
    }

    /// Rows of the file up to the last of so many calls, and the bad ones
    /// behind it.
    fn rows_up_to(&self, calls: u64) -> u64 {
        let later = self.bad_rows_behind.iter().filter(|before| **before > calls).count();
        self.skip + calls + (self.bad_lines.len() - later) as u64
    }

    pub(super) fn answer(&self) -> Answer {
        let elapsed = self.before.started.elapsed();
        let database = self.feed.database();
        let calls = self.feed.acknowledged();
        Answer {
            calls,
            bad_rows: self.bad_lines.len() as u64,
            bad_lines: self.bad_lines.clone(),
            failed: FailedAnswer::all(self.feed.first_failures(), database.state()),
            failures: self.feed.failures(),
            commits: database.state().next_offset().0 - self.before.commits,
            log_bytes: database.log().len() - self.before.log_bytes,
            seconds: elapsed.as_secs_f64(),
            calls_per_second: (calls as f64 / elapsed.as_secs_f64()) as u64,
            state_hash: format!("{:016x}", database.state().state_hash()),
        }
    }

    fn row_failure(&self, error: &FeedError) -> Failure {
        match error {
            FeedError::Rows(RowsError::Io(_)) => Failure::incomplete(self.row_text(error)),
            _ if !error.is_of_one_row() => Failure::incomplete(error),
            FeedError::Call { source, .. } => {
                let call = failed_call(self.function, source);
                Failure::bad(self.row_text(error)).with_call(call)
            }
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

fn interrupt_failure(calls: u64, rows: u64) -> Failure {
    let kept = style::count(calls, "call");
    Failure::incomplete("interrupted")
        .with_help(format!("{kept} kept, on the disk; go on with `--skip {rows}`"))
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

    /// Where the log ends, and that no call was made.
    pub(super) fn synced(&self) -> (TxOffset, u64) {
        (TxOffset(self.commits), 0)
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
