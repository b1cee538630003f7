//! A database: a data directory, its state, and the runtime that changes it.
//!
//! ```text
//! open:  lock -> newest good snapshot -> replay the log behind it -> attach modules
//!             -> run what a crash left waiting
//! call:  run -> append -> sync -> acknowledge
//! feed:  run -> append, run -> append, ... -> sync -> acknowledge all of them
//! close: sync -> mark the end of the log, so that damage there is told from a torn write
//! ```
//!
//! Invariant: what a caller has been given an answer for is on the disk,
//! unless the [`PersistenceConfig`] says otherwise.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use interstice_core::{
    Answer, AttachError, CallError, CallErrorKind, Called, CommittedState, FunctionRef, Inputs,
    InstallError, Installed, InstalledModule, LoadedModule, ReplayError, Runtime,
    SubscriptionFailure, TxOffset, log::frame::LogHeader,
};
use thiserror::Error;

use crate::{
    clock,
    data_dir::{DataDir, DataDirError, content_hash},
    file_log::{FileLog, FileLogError, LogError, TornTail},
    persistence::{Durability, PersistenceConfig},
    snapshots::BadSnapshot,
};

mod history;
mod keep;
pub(crate) mod start_up;
pub(crate) mod ties;

pub use history::{Go, History};
pub use keep::SnapshotFailure;

use keep::Keeper;
use start_up::{Started, start_up};

/// Why a call on a [`Database`] has no effect.
pub type DatabaseError = CallError<FileLogError>;

/// What opening a data directory took and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Commits that were replayed.
    pub commits: u64,
    /// Position of the snapshot that they were replayed behind.
    pub snapshot: Option<TxOffset>,
    /// Bytes of the log.
    pub bytes: u64,
    /// Time to read and replay them.
    pub elapsed: Duration,
    /// What was cut off the log's end, or, when it is open for reading, left
    /// aside.
    pub torn_tail: Option<TornTail>,
    /// Snapshots that are newer than the one used, and damaged.
    pub bad_snapshots: Vec<BadSnapshot>,
    /// Whether the newest segment is sealed, and none follows: a crash came between
    /// the two, or the log's last segment is lost.
    pub ends_sealed: bool,
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
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log ends before the state of a good snapshot.
    #[error(
        "the log ends too early: the snapshot {} holds the state before commit {}, and the segment \
         that begins with that commit is missing",
        path.display(),
        position.0
    )]
    LogBehindSnapshot {
        /// The snapshot.
        path: PathBuf,
        /// Its position.
        position: TxOffset,
    },
    /// A commit verifies, but does not replay.
    #[error("the log {} does not replay: {source}", path.display())]
    Replay {
        /// The segment that it is in.
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
        Self::of(DataDir::open_read_only(path)?)
    }

    /// Replays the log of a data directory.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn of(dir: DataDir) -> Result<Self, OpenError> {
        let Started { header, state, opening, .. } = start_up(&dir)?;
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
    log_header: LogHeader,
    runtime: Runtime<FileLog>,
    opening: Opening,
    config: PersistenceConfig,
    keeper: Keeper,
    /// When the oldest commit that is not synced was appended.
    waiting_since: Option<Instant>,
    /// Has the lock, and is dropped last: a log that is dropped still writes.
    dir: DataDir,
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

    /// Opens a data directory: reads its newest good snapshot, replays the log
    /// behind it, loads its modules, and runs what a crash had left waiting.
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

    /// Opens a data directory as [`Database::open`] does, kept as its own
    /// configuration says.
    ///
    /// # Errors
    ///
    /// As [`Database::open`].
    pub fn start(dir: DataDir) -> Result<Self, OpenError> {
        let config = dir.config()?;
        Self::start_with(dir, config)
    }

    /// Opens a data directory as [`Database::open`] does, kept as `config` says.
    ///
    /// # Errors
    ///
    /// As [`Database::open`].
    pub fn start_with(dir: DataDir, config: PersistenceConfig) -> Result<Self, OpenError> {
        let Started { header, state, end, opening, snapshot } = start_up(&dir)?;
        // What can fail, fails before a torn tail is cut: it is told by an open
        // that succeeds.
        let modules = module_files(&dir, &state)?;
        let keeper = match dir.is_read_only() {
            true => Keeper::new(snapshot, end.len),
            false => Keeper::resume(&dir, snapshot, end.chain.next_offset())?,
        };
        let log = match dir.is_read_only() {
            true => FileLog::read_only(dir.files(), &dir.log_dir(), &end),
            false => {
                dir.remove_unfinished()?;
                if !end.is_marked {
                    dir.sync_names()?;
                }
                let segment_bytes = config.segment_bytes.get();
                FileLog::open(dir.files(), &dir.log_dir(), &end, segment_bytes)?
            }
        };
        let mut runtime = Runtime::new(state, log);
        for (module, wasm) in modules {
            runtime.attach(&wasm).map_err(|source| OpenError::Attach { module, source })?;
        }
        let mut database =
            Self { dir, log_header: header, runtime, opening, config, keeper, waiting_since: None };
        if !database.dir.is_read_only() {
            database.resume().map_err(OpenError::Resume)?;
        }
        Ok(database)
    }

    /// Makes everything durable and closes the database. One that is dropped
    /// instead forgets what was appended and not synced.
    ///
    /// # Errors
    ///
    /// When the log cannot be written.
    pub fn close(mut self) -> Result<(), FileLogError> {
        self.sync()
    }

    /// How it is kept.
    pub fn config(&self) -> &PersistenceConfig {
        &self.config
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
        let is_new = !self.dir.files().is_file(&path);
        self.dir.store_module(wasm)?;
        let installed = match self.runtime.install(wasm, self.inputs()) {
            Ok(installed) => installed,
            Err(error) => {
                if is_new && matches!(error, InstallError::Refused(_)) {
                    // Nobody refers to it; left behind it would do no harm.
                    let _ = self.dir.files().remove(&path);
                }
                if matches!(error, InstallError::Lifecycle(_)) {
                    self.sync().map_err(InstallError::Log)?;
                }
                return Err(error.into());
            }
        };
        self.sync().map_err(InstallError::Log)?;
        Ok(installed)
    }

    /// Calls a reducer with arguments in row layout, and runs the
    /// subscriptions that its changes trigger. Durable when it returns, as far
    /// as the [`Durability`] asks for.
    ///
    /// # Errors
    ///
    /// When the call is rolled back, or cannot be written.
    pub fn call(&mut self, reducer: FunctionRef, args: &[u8]) -> Result<Called, DatabaseError> {
        let called = self.append(reducer, args);
        if is_committed(&called)
            && let Err(error) = self.acknowledge()
        {
            return Err(log_error(error));
        }
        called
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
        let called = self.runtime.call(reducer, args, inputs);
        if is_committed(&called) {
            self.waiting_since.get_or_insert_with(Instant::now);
        }
        called
    }

    /// Acknowledges what was appended, when as much waits, or has waited as
    /// long, as the [`PersistenceConfig`] allows. Returns whether everything
    /// appended may be answered for.
    ///
    /// # Errors
    ///
    /// When the sync fails: then nothing since the last one is durable, and
    /// the database has to be reopened.
    pub fn sync_if_due(&mut self) -> Result<bool, FileLogError> {
        let due = self.is_sync_due();
        if due {
            self.acknowledge()?;
        }
        Ok(due)
    }

    /// How long what was appended may go on waiting for a sync; `None` when
    /// nothing waits.
    pub fn sync_due_in(&self) -> Option<Duration> {
        Some(self.config.group_delay().saturating_sub(self.waiting_since?.elapsed()))
    }

    /// Whether as much waits, or has waited as long, as the
    /// [`PersistenceConfig`] allows; or nothing does.
    pub fn is_sync_due(&self) -> bool {
        let Some(since) = self.waiting_since else { return true };
        self.config.durability == Durability::EveryCommit
            || self.log().unsynced_len() >= self.config.group_bytes
            || since.elapsed() >= self.config.group_delay()
    }

    /// Makes everything appended as durable as the [`Durability`] asks for.
    /// Then it may be answered for.
    ///
    /// # Errors
    ///
    /// As [`Database::sync_if_due`].
    pub fn acknowledge(&mut self) -> Result<(), FileLogError> {
        match self.config.durability {
            Durability::System if !self.dir.is_read_only() => self.runtime.log_mut().write()?,
            _ => self.runtime.sync()?,
        }
        self.waiting_since = None;
        Ok(())
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

    /// Changes how it is kept from now on.
    pub fn set_config(&mut self, config: PersistenceConfig) {
        self.config = config;
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
        let failures = self.runtime.run_due(inputs);
        // Also where one could not run: others before it did.
        self.sync().map_err(log_error)?;
        failures
    }

    /// The system's time; the core sees to it that it never goes backwards.
    /// Seeds are derived from the log's.
    fn inputs(&self) -> Inputs {
        Inputs::at(clock::now())
    }
}

/// The installed modules and their files.
fn module_files(
    dir: &DataDir,
    state: &CommittedState,
) -> Result<Vec<(String, Vec<u8>)>, DataDirError> {
    let file = |module: &InstalledModule| {
        let wasm = dir.load_module(module.name(), module.content_hash())?;
        Ok((module.name().to_owned(), wasm))
    };
    state.modules().iter().map(file).collect()
}

/// Whether a call is in the log, whatever became of what runs behind it.
pub(crate) fn is_committed(called: &Result<Called, DatabaseError>) -> bool {
    match called {
        Ok(_) => true,
        Err(error) => matches!(error.kind, CallErrorKind::Behind { .. }),
    }
}

pub(crate) fn log_error(error: FileLogError) -> DatabaseError {
    CallError { function: "sync".to_owned(), kind: CallErrorKind::Log(error) }
}
