use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use interstice_core::Limits;

use super::{
    build::build_project,
    exit::Exit,
    failure::{Failure, Outcome},
    feed::{Before, Feeding},
    guest_log::{GuestLevel, GuestLogArgs},
    install::install_failure,
    open::{close, find_query, find_reducer, open_failure},
    progress,
    replay_check::{self, Check},
    style::{self, BOLD, DIM, GOOD},
    validate::examine,
};
use crate::{
    data_dir::DataDir,
    database::{Database, ReadOnlyState},
    feed::Feed,
    text::{Rows, RowsFormat, Typed},
};

mod weather;

/// Run a year of weather through a module: build, feed, restart, re-execute.
///
/// Builds the example module `weather` of this source checkout, feeds it 8,759
/// hourly readings, shows what it made of them, restarts from the log alone
/// and runs every recorded call again. Leaves its data directory behind, and
/// touches none that it has not made.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A data directory to make; without it the next free `interstice-demo`.
    #[arg(long = "data", value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    guest_log: GuestLogArgs,
}

const READINGS: &str = "data/seattle-weather-hourly-normals.csv";
const REDUCER: &str = "weather.record";

impl Args {
    pub(super) fn run(self) -> Outcome {
        let project = weather_project()?;
        let path = self.data.clone().unwrap_or_else(next_free);
        DataDir::check_new(&path).map_err(|error| open_failure(&path, &error.into()))?;
        let mut out = anstream::AutoStream::auto(std::io::stdout());
        writeln!(
            out,
            "{BOLD}A year of hourly weather in Seattle, through one sandboxed module{BOLD:#}"
        )?;

        step(&mut out, 1, "build the module")?;
        let wasm = build_weather(&mut out, &project)?;

        step(&mut out, 2, "install it in a fresh data directory")?;
        let mut database = Database::create(&path).map_err(|error| open_failure(&path, &error))?;
        database.install(&wasm).map_err(|error| install_failure("weather.wasm", &error))?;
        writeln!(out, "   {}", path.display())?;

        step(&mut out, 3, "feed it one reading per call")?;
        self.guest_log.show(&mut database, GuestLevel::Warn);
        feed_readings(&mut out, &mut database, &project.join(READINGS))?;

        step(&mut out, 4, "ask it about the year")?;
        let months = ask(&mut database, "weather.months")?;
        let alarms = ask(&mut database, "weather.alarms")?;
        weather::print_year(&mut out, &months, &alarms)?;
        weather::print_alarms(&mut out, &alarms)?;
        let hash = database.state().state_hash();
        close(database)?;

        step(&mut out, 5, "restart, from the log alone")?;
        let same = restart(&mut out, &path, hash)?;

        step(&mut out, 6, "run every recorded call again, and compare everything")?;
        let check = reexecute(&mut out, &path)?;
        if !same || !check.identical {
            return Err(Failure::bad("the log does not lead to the same state; this is a bug")
                .with_help(format!("keep {} and report it", path.display())));
        }
        print_next(&mut out, &path)?;
        out.flush()?;
        Ok(Exit::Good)
    }
}

fn step(out: &mut impl Write, number: u8, what: &str) -> Result<(), Failure> {
    writeln!(out, "\n{BOLD}{number}. {what}{BOLD:#}")?;
    // What cargo says next, on standard error, belongs behind it.
    Ok(out.flush()?)
}

/// The example module of the checkout that this program was built from.
fn weather_project() -> Result<PathBuf, Failure> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let project = checkout.map(|checkout| checkout.join("sdk/examples/weather"));
    match project {
        Some(project) if project.join(READINGS).is_file() => Ok(project),
        _ => Err(Failure::incomplete("the demo's module is part of the source, which is not here")
            .with_help("run it in a checkout of the source: cargo run --release -- demo")),
    }
}

/// `interstice-demo`, or the first of `interstice-demo-2`, `-3`, ... that does
/// not exist.
fn next_free() -> PathBuf {
    let first = PathBuf::from("interstice-demo");
    let others = (2u32..).map(|number| PathBuf::from(format!("interstice-demo-{number}")));
    let free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    std::iter::once(first.clone()).chain(others).find(free).unwrap_or(first)
}

fn build_weather(out: &mut impl Write, project: &Path) -> Result<Vec<u8>, Failure> {
    let built = build_project(project)?;
    let wasm = fs::read(&built.path).map_err(Failure::io("read", &built.path))?;
    let memory = examine(&wasm, &Limits::default()).memory_bytes.unwrap_or_default();
    writeln!(
        out,
        "   {}: {}, needs {} of memory",
        super::build::shorten(&built.path).display(),
        style::bytes(wasm.len() as u64),
        style::bytes(memory)
    )?;
    Ok(wasm)
}

fn feed_readings(
    out: &mut impl Write,
    database: &mut Database,
    readings: &Path,
) -> Result<(), Failure> {
    let file = File::open(readings).map_err(Failure::io("open", readings))?;
    let bar = progress::bar(file.metadata().map_or(0, |metadata| metadata.len()), "{msg}");
    let (reducer, function) = find_reducer(database, REDUCER)?;
    let rows = Rows::new(bar.wrap_read(file), RowsFormat::Csv, function.args())
        .map_err(|error| Failure::incomplete(format!("{}: {error}", readings.display())))?;
    let name = readings.display().to_string();
    let before = Before::of(database);
    let mut feeding = Feeding {
        synced: before.synced(),
        before,
        feed: Feed::new(database, reducer, rows),
        function: &function,
        name: &name,
        bar: &bar,
        skip: 0,
        keep_going: false,
        bad_lines: Vec::new(),
        bad_rows_behind: Vec::new(),
    };
    feeding.run()?;
    let fed = feeding.answer();
    bar.finish_and_clear();
    let per_commit = fed.log_bytes as f64 / fed.commits as f64;
    writeln!(
        out,
        "   {} and the subscriptions they ran: {} in {}, all on the disk\n   \
         {} calls/s, {} commits/s; {per_commit:.1} bytes of log per commit",
        style::count(fed.calls, "call"),
        style::count(fed.commits, "commit"),
        style::duration(Duration::from_secs_f64(fed.seconds)),
        style::thousands(fed.calls_per_second),
        style::thousands((fed.commits as f64 / fed.seconds) as u64),
    )?;
    Ok(())
}

/// The answer of a query without parameters.
fn ask(database: &mut Database, address: &str) -> Result<serde_json::Value, Failure> {
    let (query, function) = find_query(database, address)?;
    let answer = database.query(query, &[]).map_err(Failure::incomplete)?;
    let Some(layout) = function.returns() else { return Ok(serde_json::Value::Null) };
    let value = layout.decode(&answer.result).map_err(Failure::incomplete)?;
    Ok(serde_json::to_value(Typed { layout, value: &value })?)
}

fn restart(out: &mut impl Write, path: &Path, hash: u64) -> Result<bool, Failure> {
    let state = ReadOnlyState::open(path).map_err(|error| open_failure(path, &error))?;
    let replayed = state.state().state_hash();
    let same = if replayed == hash { "the same" } else { "not the same" };
    writeln!(
        out,
        "   {} replayed in {} without running any code\n   \
         state hash {hash:016x} before, {replayed:016x} after: {GOOD}{same}{GOOD:#}",
        style::count(state.opening().commits, "commit"),
        style::duration(state.opening().elapsed),
    )?;
    Ok(replayed == hash)
}

fn reexecute(out: &mut impl Write, path: &Path) -> Result<Check, Failure> {
    let dir = crate::data_dir::DataDir::open_read_only(path)
        .map_err(|error| open_failure(path, &error.into()))?;
    let check = replay_check::check(&dir)?;
    let verdict = if check.identical { "identical" } else { "different" };
    writeln!(
        out,
        "   {} in {}: {GOOD}{verdict}{GOOD:#} to the byte",
        style::count(check.calls, "call"),
        style::duration(Duration::from_secs_f64(check.seconds)),
    )?;
    Ok(check)
}

/// Three commands that work as they are printed: with the program as it was
/// called, and the directory that was made.
fn print_next(out: &mut impl Write, path: &Path) -> Result<(), Failure> {
    let program = env::args().next().unwrap_or_else(|| "interstice".to_owned());
    let program = style::shell_word(&program);
    let data = style::shell_path(path);
    writeln!(out, "\n{BOLD}Try next{BOLD:#}")?;
    for (command, what) in [
        (
            format!("query weather.alarms_of kind=Frost --data {data}"),
            "the frost alarms, one by one",
        ),
        (
            format!("log-inspect --table weather.alarm --limit 3 --data {data}"),
            "the commits that raised the first alarms",
        ),
        (
            format!("call weather.record 2011-01-01T00:00:00 1015.2 -7.5 12 --data {data}"),
            "one more reading, frosty and windy",
        ),
    ] {
        writeln!(out, "   {program} {command}")?;
        writeln!(out, "   {DIM}# {what}{DIM:#}")?;
    }
    Ok(())
}
