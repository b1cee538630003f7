//! A database: a data directory, its state, and the runtime that changes it.
//!
//! ```text
//! open:  lock -> read log -> replay -> attach modules -> run what a crash left waiting
//! call:  run -> append -> sync -> acknowledge
//! feed:  run -> append, run -> append, ... -> sync -> acknowledge all of them
//! ```
//!
//! Invariant: what a caller has been given an answer for is on the disk.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use interstice_core::{
    Answer, AttachError, CallError, CallErrorKind, Called, CommittedState, FunctionRef, Inputs,
    InstallError, Installed, Limits, LoadedModule, ReplayError, Runtime, SubscriptionFailure,
    Timestamp, log::frame::LogHeader,
};
use thiserror::Error;

use crate::{
    data_dir::{ContentHash, DataDir, DataDirError, content_hash},
    file_log::{FileLog, FileLogError, LogBytes, LogOpenError, TornTail},
};

/// Why a call on a [`Database`] has no effect.
pub type DatabaseError = CallError<FileLogError>;

/// When commits that wait are synced together.
///
/// More at once means more calls per second; less means that each waits less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupCommit {
    /// Sync when this many bytes wait.
    pub bytes_max: u64,
    /// Sync when the oldest commit has waited this long.
    pub delay_max: Duration,
}

impl Default for GroupCommit {
    fn default() -> Self {
        Self { bytes_max: 1 << 20, delay_max: Duration::from_millis(20) }
    }
}

/// What opening a data directory took and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Commits that were replayed.
    pub commits: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Time to read and replay them.
    pub elapsed: Duration,
    /// What was cut off the log's end, or, when it is open for reading, left
    /// aside.
    pub torn_tail: Option<TornTail>,
    /// Whether it was opened for reading only.
    pub read_only: bool,
    /// Subscriptions that had waited, and were run.
    pub resumed: u64,
}

/// Why a data directory cannot be opened as a database.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory, its lock, or a module file.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log's file.
    #[error(transparent)]
    Log(#[from] LogOpenError),
    /// A commit verifies, but does not replay.
    #[error("the log {} does not replay: {source}", path.display())]
    Replay {
        /// The log's file.
        path: PathBuf,
        /// Which commit, and what is wrong with it.
        source: ReplayError,
    },
    /// The file of an installed module cannot be loaded.
    #[error("the installed module `{module}` cannot be loaded: {source}")]
    Attach {
        /// The module.
        module: String,
        /// What is wrong with it.
        source: AttachError,
    },
    /// What a crash had left waiting could not be run and written.
    #[error("could not run what was waiting: {0}")]
    Resume(DatabaseError),
}

/// Why a module could not be installed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddModuleError {
    /// Its file could not be kept.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// It was refused, or could not be recorded.
    #[error(transparent)]
    Install(#[from] InstallError<FileLogError>),
}

/// The state that a log leads to, without any code.
///
/// For looking: it opens read-only media and directories that are in use, and
/// needs no module file.
#[derive(Debug)]
pub struct ReadOnlyState {
    dir: DataDir,
    header: LogHeader,
    state: CommittedState,
    opening: Opening,
}

impl ReadOnlyState {
    /// Replays the log of the data directory at `path`.
    ///
    /// # Errors
    ///
    /// When there is none, or its log is damaged.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let dir = DataDir::open_read_only(path)?;
        let Replayed { header, state, opening, .. } = replay(&dir)?;
        Ok(Self { dir, header, state, opening })
    }

    /// The log's header: its id and seed.
    pub fn log_header(&self) -> LogHeader {
        self.header
    }

    /// The data directory.
    pub fn data_dir(&self) -> &DataDir {
        &self.dir
    }

    /// The state: modules, tables, state hash.
    pub fn state(&self) -> &CommittedState {
        &self.state
    }

    /// What opening it took and found.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }
}

/// An open database.
///
/// See the [crate's example](crate).
pub struct Database {
    dir: DataDir,
    runtime: Runtime<FileLog>,
    opening: Opening,
    group: GroupCommit,
    /// When the oldest commit that is not synced was appended.
    waiting_since: Option<Instant>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Database {
    /// Makes a data directory, and opens it.
    ///
    /// # Errors
    ///
    /// When there is something at `path`, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, OpenError> {
        Self::start(DataDir::create(path)?)
    }

    /// Opens a data directory: replays its log, loads its modules, and runs
    /// what a crash had left waiting.
    ///
    /// # Errors
    ///
    /// When there is none, it is in use, its log is damaged, or a module's
    /// file is missing.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::start(DataDir::open(path)?)
    }

    /// Opens a data directory for queries. It may be on read-only media, or in
    /// use by another process; nothing in it changes.
    ///
    /// # Errors
    ///
    /// As [`Database::open`], except that it may be in use.
    pub fn open_read_only(path: &Path) -> Result<Self, OpenError> {
        Self::start(DataDir::open_read_only(path)?)
    }

    fn start(dir: DataDir) -> Result<Self, OpenError> {
        let Replayed { state, log, opening, .. } = replay(&dir)?;
        let mut runtime = Runtime::new(state, log);
        let modules: Vec<(String, ContentHash)> = runtime
            .state()
            .modules()
            .iter()
            .map(|module| (module.name().to_owned(), *module.content_hash()))
            .collect();
        for (module, hash) in modules {
            let wasm = dir.load_module(&module, &hash)?;
            runtime.attach(&wasm).map_err(|source| OpenError::Attach { module, source })?;
        }
        let group = GroupCommit::default();
        let mut database = Self { dir, runtime, opening, group, waiting_since: None };
        if !database.dir.is_read_only() {
            database.resume().map_err(OpenError::Resume)?;
        }
        Ok(database)
    }

    /// Runs the subscriptions that waited when the log ended.
    fn resume(&mut self) -> Result<(), DatabaseError> {
        let before = self.state().next_offset().0;
        if self.state().pending() > 0 {
            let inputs = self.inputs();
            self.runtime.drain(inputs)?;
            self.sync().map_err(log_error)?;
        }
        self.opening.resumed = self.state().next_offset().0 - before;
        Ok(())
    }

    /// What opening it took and found.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The data directory.
    pub fn data_dir(&self) -> &DataDir {
        &self.dir
    }

    /// The committed state: modules, tables, state hash.
    pub fn state(&self) -> &CommittedState {
        self.runtime.state()
    }

    /// The log.
    pub fn log(&self) -> &FileLog {
        self.runtime.log()
    }

    /// The runtime, for what this type does not wrap.
    pub fn runtime_mut(&mut self) -> &mut Runtime<FileLog> {
        &mut self.runtime
    }

    /// The reducer `name` of `module`, for [`Database::call`].
    ///
    /// # Errors
    ///
    /// When there is none, or it only runs by its trigger.
    pub fn reducer(&self, module: &str, name: &str) -> Result<FunctionRef, DatabaseError> {
        self.runtime.reducer(module, name)
    }

    /// The query `name` of `module`, for [`Database::query`].
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn query_ref(&self, module: &str, name: &str) -> Result<FunctionRef, DatabaseError> {
        self.runtime.query_ref(module, name)
    }

    /// Installs a module, and runs its `init` and `load` reducers. Durable when
    /// it returns.
    ///
    /// # Errors
    ///
    /// When the module is refused, with every reason, or cannot be written.
    pub fn install(&mut self, wasm: &[u8]) -> Result<Installed, AddModuleError> {
        // Refused before anything is written.
        LoadedModule::new(wasm, self.state().limits()).map_err(InstallError::Load)?;
        let path = self.dir.module_path(&content_hash(wasm));
        let is_new = !path.exists();
        self.dir.store_module(wasm)?;
        let installed = match self.runtime.install(wasm, self.inputs()) {
            Ok(installed) => installed,
            Err(error) => {
                if is_new && matches!(error, InstallError::Refused(_)) {
                    // Nobody refers to it; left behind it would do no harm.
                    let _ = fs::remove_file(path);
                }
                return Err(error.into());
            }
        };
        self.sync().map_err(InstallError::Log)?;
        Ok(installed)
    }

    /// Calls a reducer with arguments in row layout, and runs the
    /// subscriptions that its changes trigger. Durable when it returns.
    ///
    /// # Errors
    ///
    /// When the call is rolled back, or cannot be written.
    pub fn call(&mut self, reducer: FunctionRef, args: &[u8]) -> Result<Called, DatabaseError> {
        let called = self.append(reducer, args)?;
        self.sync().map_err(log_error)?;
        Ok(called)
    }

    /// As [`Database::call`], without waiting for the disk: the commit is
    /// durable after the next [`Database::sync`], or [`Database::sync_if_due`]
    /// that says so. Until then nobody may be told that it is.
    ///
    /// # Errors
    ///
    /// When the call is rolled back, or the log takes nothing more.
    pub fn append(&mut self, reducer: FunctionRef, args: &[u8]) -> Result<Called, DatabaseError> {
        let inputs = self.inputs();
        let called = self.runtime.call(reducer, args, inputs)?;
        self.waiting_since.get_or_insert_with(Instant::now);
        Ok(called)
    }

    /// Syncs when as much waits, or has waited as long, as the
    /// [`GroupCommit`] allows. Returns whether everything appended is durable.
    ///
    /// # Errors
    ///
    /// When the sync fails: then nothing since the last one is durable, and
    /// the database has to be reopened.
    pub fn sync_if_due(&mut self) -> Result<bool, FileLogError> {
        let Some(since) = self.waiting_since else { return Ok(true) };
        let due = self.log().unsynced_len() >= self.group.bytes_max
            || since.elapsed() >= self.group.delay_max;
        if due {
            self.sync()?;
        }
        Ok(due)
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    ///
    /// As [`Database::sync_if_due`].
    pub fn sync(&mut self) -> Result<(), FileLogError> {
        self.runtime.sync()?;
        self.waiting_since = None;
        Ok(())
    }

    /// Sets when commits of [`Database::append`] are synced.
    pub fn set_group_commit(&mut self, group: GroupCommit) {
        self.group = group;
    }

    /// Runs a query with arguments in row layout. Leaves no trace.
    ///
    /// # Errors
    ///
    /// When the query fails.
    pub fn query(&mut self, query: FunctionRef, args: &[u8]) -> Result<Answer, DatabaseError> {
        let inputs = self.inputs();
        self.runtime.query(query, args, inputs)
    }

    /// Runs the scheduled reducers whose time has come. Durable when it
    /// returns. Returns those that failed.
    ///
    /// # Errors
    ///
    /// When what they did cannot be written.
    pub fn run_due(&mut self) -> Result<Vec<SubscriptionFailure>, DatabaseError> {
        let inputs = self.inputs();
        let failures = self.runtime.run_due(inputs)?;
        self.sync().map_err(log_error)?;
        Ok(failures)
    }

    /// The system's time; the core sees to it that it never goes backwards.
    /// Seeds are derived from the log's.
    fn inputs(&self) -> Inputs {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Inputs::at(Timestamp(i64::try_from(now.as_micros()).unwrap_or(i64::MAX)))
    }
}

fn log_error(error: FileLogError) -> DatabaseError {
    CallError { function: "sync".to_owned(), kind: CallErrorKind::Log(error) }
}

struct Replayed {
    header: LogHeader,
    state: CommittedState,
    log: FileLog,
    opening: Opening,
}

/// Reads and replays a log. When the directory is open for writing, a torn
/// tail is cut.
fn replay(dir: &DataDir) -> Result<Replayed, OpenError> {
    let started = Instant::now();
    let path = dir.log_path();
    let bytes = LogBytes::read(&path)?;
    let mut state = CommittedState::new(bytes.header().seed, Limits::default());
    let mut frames = bytes.frames()?;
    for (offset, commit) in frames.by_ref() {
        state
            .replay(offset, commit)
            .map_err(|source| OpenError::Replay { path: path.clone(), source })?;
    }
    let torn_tail = bytes.end(&frames)?;
    let (end, chain) = (frames.position(), frames.end());
    let log = match dir.is_read_only() {
        true => FileLog::read_only(path, end as u64, chain),
        false => bytes.continue_log(end, chain)?,
    };
    let opening = Opening {
        commits: state.next_offset().0,
        bytes: end as u64,
        elapsed: started.elapsed(),
        torn_tail,
        read_only: dir.is_read_only(),
        resumed: 0,
    };
    Ok(Replayed { header: bytes.header(), state, log, opening })
}
