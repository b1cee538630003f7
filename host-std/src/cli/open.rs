//! Opening a data directory for a command, and finding things in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use interstice_core::{
    CommittedState, Function, FunctionKind, FunctionRef, InstalledModule, TxOffset,
    log::frame::HeaderError,
};

use serde::Serialize;

use super::{failure::Failure, persistence::PersistenceArgs, style};
use crate::{
    data_dir::{DataDir, DataDirError, UnfinishedError},
    database::{
        Database, History, OpenError, Opening, ReadOnlyState, SnapshotFailure, start_up::READS_MAX,
    },
    file_log::{LogError, TornTail},
    recovery,
    snapshots::BadSnapshot,
};

/// Where the data is.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DataArgs {
    /// The data directory.
    #[arg(
        long = "data",
        value_name = "DIR",
        env = "INTERSTICE_DATA",
        hide_env_values = true,
        default_value = "interstice-data"
    )]
    pub(super) path: PathBuf,
}

impl DataArgs {
    /// Opens the database for writing.
    pub(super) fn open(&self, persistence: &PersistenceArgs) -> Result<Database, Failure> {
        let opened = DataDir::open(&self.path).map_err(OpenError::from).and_then(|dir| {
            let config = persistence.over(&dir.config()?);
            Database::start_with(dir, config)
        });
        let database = opened.map_err(|error| open_failure(&self.path, &error))?;
        report_opening(&self.path, database.opening());
        Ok(database)
    }

    /// Opens the database for queries.
    pub(super) fn open_read_only(&self) -> Result<Database, Failure> {
        let database = Database::open_read_only(&self.path)
            .map_err(|error| open_failure(&self.path, &error))?;
        report_opening(&self.path, database.opening());
        Ok(database)
    }

    /// Replays the log, without loading any code.
    pub(super) fn read_state(&self) -> Result<ReadOnlyState, Failure> {
        let state =
            ReadOnlyState::open(&self.path).map_err(|error| open_failure(&self.path, &error))?;
        report_opening(&self.path, state.opening());
        Ok(state)
    }

    /// Opens the directory for reading, without replaying anything.
    pub(super) fn open_dir(&self) -> Result<DataDir, Failure> {
        DataDir::open_read_only(&self.path)
            .map_err(|error| open_failure(&self.path, &OpenError::from(error)))
    }

    /// The arguments that name this directory in a command to type; nothing
    /// for the default one.
    pub(super) fn as_words(&self) -> String {
        words(&self.path)
    }
}

/// Does `read`, and again where it fails because another process has removed a
/// file that was to be read. For what shows nothing before its end.
pub(super) fn reading<R>(mut read: impl FnMut() -> Result<R, Failure>) -> Result<R, Failure> {
    for _ in 1..READS_MAX {
        match read() {
            Err(failure) if failure.is_of_removed_file() => {}
            done => return done,
        }
    }
    read()
}

/// The commits of a directory, from a snapshot at or before `from` on.
pub(super) fn history(dir: &DataDir, from: TxOffset) -> Result<History, Failure> {
    let history = History::open(dir, from).map_err(|error| open_failure(dir.path(), &error))?;
    note_bad_snapshots(history.bad_snapshots());
    Ok(history)
}

/// Why a data directory was not made, and what to do.
pub(super) fn unfinished_failure(error: &UnfinishedError) -> Failure {
    let help = match error {
        UnfinishedError::InTheWay { .. } => "look at it, and move it away or delete it",
        UnfinishedError::Busy { .. } => "wait until it has ended",
        UnfinishedError::NotDurable { .. } => "run `sync`, and check the disk",
        UnfinishedError::Io { source, .. } => {
            return Failure::incomplete(error).with_io_help(source.kind());
        }
        UnfinishedError::DataDir(_) => return Failure::incomplete(error),
    };
    Failure::incomplete(error).with_help(help)
}

fn words(path: &Path) -> String {
    match path == Path::new("interstice-data") {
        true => String::new(),
        false => format!(" --data {}", style::shell_path(path)),
    }
}

/// Why visiting a history has ended early.
pub(super) enum Visited {
    /// The history itself.
    History(OpenError),
    /// What was done with it.
    Failed(Failure),
}

impl From<OpenError> for Visited {
    fn from(error: OpenError) -> Self {
        Self::History(error)
    }
}

impl From<Failure> for Visited {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Visited {
    /// What to tell; the data is at `path`.
    pub(super) fn into_failure(self, path: &Path) -> Failure {
        match self {
            Self::History(error) => open_failure(path, &error),
            Self::Failed(failure) => failure,
        }
    }
}

/// What a person should know about an open that cannot be done.
pub(super) fn open_failure(path: &Path, error: &OpenError) -> Failure {
    let failure = Failure::incomplete(error);
    let unpublished = recovery::unpublished(path);
    let path = style::shell_path(path);
    if let (OpenError::DataDir(DataDirError::Missing { .. }), Some(copy)) = (error, unpublished) {
        let copy = style::shell_path(&copy);
        return failure.with_help(format!(
            "a repair seems to have been cut short just before its end; look at what it made: \
             interstice status --data {copy}; then end it: mv {copy} {path} && sync"
        ));
    }
    match error {
        OpenError::DataDir(DataDirError::Missing { exists: false, .. }) => {
            failure.with_help(format!(
                "make one by installing a module: interstice install MODULE.wasm --data {path}; \
                 or give another directory with --data DIR"
            ))
        }
        OpenError::DataDir(DataDirError::Exists { .. }) => {
            failure.with_help("give another directory with --data DIR; nothing was changed")
        }
        OpenError::DataDir(
            DataDirError::Missing { .. }
            | DataDirError::NotEmpty { .. }
            | DataDirError::NotDirectory { .. },
        ) => failure.with_help("give another directory with --data DIR"),
        OpenError::Log(LogError::Io { action: "copy", path, source })
            if source.kind() == io::ErrorKind::StorageFull =>
        {
            let len = fs::metadata(path).map_or(0, |metadata| metadata.len());
            failure.with_help(format!(
                "make room for {}: the log was not closed, so it goes on in a copy of its newest \
                 file; queries need no room",
                style::bytes(len)
            ))
        }
        OpenError::Log(LogError::Header { source: HeaderError::Version { .. }, .. }) => {
            failure.with_help("read it with the version of this program that wrote it")
        }
        OpenError::DataDir(DataDirError::Config(_)) => failure.with_help(
            "mend that line of interstice.toml, or remove the file: it need not be there",
        ),
        OpenError::DataDir(DataDirError::Io { source, .. })
        | OpenError::Log(LogError::Io { source, .. }) => failure.with_io_help(source.kind()),
        OpenError::Log(LogError::Removed { .. }) => {
            failure.of_removed_file().with_help("run it again: it begins with what is left")
        }
        OpenError::Log(
            LogError::NoSegment { .. }
            | LogError::Damaged { .. }
            | LogError::Segment { .. }
            | LogError::Header { .. }
            | LogError::Beginning { .. },
        )
        | OpenError::LogBehindSnapshot { .. }
        | OpenError::Replay { .. } => failure.with_help(format!(
            "see all that is wrong: interstice log-check --data {path}; what can be saved: \
             interstice help log-repair"
        )),
        _ => failure,
    }
}

/// Says how long opening took, and what it found.
fn report_opening(path: &Path, opening: &Opening) {
    if opening.commits > 0 {
        style::say(format!(
            "{}: replayed {}{} in {}",
            path.display(),
            style::count(opening.commits, "commit"),
            opening.snapshot.map_or_else(String::new, |at| format!(" behind the snapshot of {at}")),
            style::duration(opening.elapsed)
        ));
    }
    note_bad_snapshots(&opening.bad_snapshots);
    if let Some(torn) = &opening.torn_tail {
        style::note(torn_tail_text(torn, opening.read_only));
    }
    if opening.ends_sealed {
        style::note(ENDS_SEALED);
    }
    if opening.resumed > 0 {
        style::note(format!(
            "{} that had waited since the last time ran now",
            style::count(opening.resumed, "subscription")
        ));
    }
}

/// What is to be known of a log whose newest segment is sealed.
pub(super) const ENDS_SEALED: &str = "the newest segment is sealed, and no other one follows: a \
     crash came between the two, or the log's last segment is lost";

fn note_bad_snapshots(snapshots: &[BadSnapshot]) {
    for snapshot in snapshots {
        style::note(format!("{snapshot}; left aside for another one, or the log"));
    }
}

/// What stands behind the log's last commit, for programs.
#[derive(Serialize)]
pub(super) struct TornAnswer {
    at: u64,
    bytes: u64,
    last_commit: Option<u64>,
}

impl TornAnswer {
    pub(super) fn of(torn: &TornTail) -> Self {
        let last_commit = torn.last_commit.map(|commit| commit.0);
        Self { at: torn.at, bytes: torn.bytes, last_commit }
    }
}

pub(super) fn torn_tail_text(torn: &TornTail, read_only: bool) -> String {
    let (done, from) = match read_only {
        true => ("left aside", "from a write that is under way or was cut short, or damage there"),
        false => ("cut", "from a write that was cut short or damage there"),
    };
    let kept = match torn.last_commit {
        Some(last) => format!("the last commit kept is {last}"),
        None => "no commit is before them".to_owned(),
    };
    format!(
        "the log ends in {} that are no whole commit (at byte {}), {from}; {done}, {kept}",
        style::count(torn.bytes, "byte"),
        torn.at
    )
}

/// Ends the use of a database that was written to. What was acknowledged is
/// durable already: this takes a snapshot if one is due, and marks the log's end.
pub(super) fn close(mut database: Database) -> Result<(), Failure> {
    if let Err(failure) = database.snapshot_if_due() {
        note_failed_snapshot(&failure);
    }
    database.close().map_err(Failure::incomplete)
}

/// Says that a snapshot was due, and is missing.
pub(super) fn note_failed_snapshot(failure: &SnapshotFailure) {
    style::note(format!("{failure}; the log has everything, and it is tried again later"));
}

/// The module `name`, or who is there instead.
pub(super) fn find_module<'a>(
    dir: &DataDir,
    state: &'a CommittedState,
    name: &str,
) -> Result<&'a InstalledModule, Failure> {
    state.module(name).ok_or_else(|| {
        let names: Vec<&str> = state.modules().iter().map(InstalledModule::name).collect();
        let failure = Failure::usage(format!("no module `{name}` is installed"));
        match names.as_slice() {
            [] => failure.with_help(format!(
                "install one: interstice install MODULE.wasm{}",
                words(dir.path())
            )),
            names => failure.with_help(format!("installed are {}", names.join(", "))),
        }
    })
}

/// The reducer that `address` (`module.reducer`) names, and its types: a copy,
/// because the state changes while they are used.
pub(super) fn find_reducer(
    database: &Database,
    address: &str,
) -> Result<(FunctionRef, Function), Failure> {
    find(database, address, FunctionKind::Reducer)
}

/// The query that `address` (`module.query`) names, and its types.
pub(super) fn find_query(
    database: &Database,
    address: &str,
) -> Result<(FunctionRef, Function), Failure> {
    find(database, address, FunctionKind::Query)
}

fn find(
    database: &Database,
    address: &str,
    kind: FunctionKind,
) -> Result<(FunctionRef, Function), Failure> {
    let state = database.state();
    let Some((module, name)) = address.split_once('.') else {
        return Err(Failure::usage(format!(
            "`{address}` is no MODULE.NAME: which module is it in?"
        ))
        .with_help(suggest_address(database, address)));
    };
    let found = match kind {
        FunctionKind::Reducer => database.reducer(module, name),
        FunctionKind::Query => database.query_ref(module, name),
    };
    match found {
        Ok(target) => match state.function(target) {
            Some(function) => Ok((target, function.clone())),
            None => Err(Failure::usage(format!("{address}: not found"))),
        },
        Err(error) => {
            let module = find_module(database.data_dir(), state, module)?;
            let help = suggest_function(module, name, kind) + &words(database.data_dir().path());
            Err(Failure::usage(&error).with_help(help))
        }
    }
}

/// What to type instead of a function that is not there.
fn suggest_function(module: &InstalledModule, name: &str, kind: FunctionKind) -> String {
    let module_name = module.name();
    let other = module.functions().iter().find(|function| function.name() == name);
    match (kind, other.map(Function::kind)) {
        (FunctionKind::Reducer, Some(FunctionKind::Query)) => {
            format!("{name} is a query: interstice query {module_name}.{name}")
        }
        (FunctionKind::Query, Some(FunctionKind::Reducer)) => {
            format!("{name} is a reducer: interstice call {module_name}.{name}")
        }
        _ => format!("see what it has: interstice schema {module_name}"),
    }
}

fn suggest_address(database: &Database, name: &str) -> String {
    let has = |module: &&InstalledModule| module.functions().iter().any(|f| f.name() == name);
    match database.state().modules().iter().find(has) {
        Some(module) => format!("write {}.{name}", module.name()),
        None => {
            let data = words(database.data_dir().path());
            format!("write MODULE.NAME; `interstice status{data}` lists the modules")
        }
    }
}
