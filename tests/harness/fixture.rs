//! A runtime for tests of one behaviour.

use std::convert::Infallible;

use interstice_core::{
    Answer, CallError, Called, CommittedState, Inputs, InstallError, Installed, Limits, Record,
    Reexecution, ReplayError, Runtime, Step, SubscriptionFailure, Timestamp, TxOffset,
    log::{
        MemoryLog,
        frame::{Chain, HeaderError, LogHeader, SegmentHeader},
    },
};

use crate::{guest::Guest, properties};

/// The header of every fixture's log.
pub const HEADER: LogHeader = LogHeader { log_id: *b"interstice tests", seed: 42 };

/// A runtime with its log in memory, and the files of its modules.
///
/// Its clock goes on by one microsecond with every call.
pub struct Fixture {
    /// The runtime.
    pub runtime: Runtime<MemoryLog>,
    limits: Limits,
    files: Vec<Vec<u8>>,
    clock: i64,
}

/// The time of a test, in microseconds.
pub fn at(micros: i64) -> Inputs {
    Inputs::at(Timestamp(micros))
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// An empty log, with the limits of a desktop.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// An empty log.
    pub fn with_limits(limits: Limits) -> Self {
        let state = CommittedState::new(HEADER.seed, limits.clone());
        let runtime = Runtime::new(state, MemoryLog::new(HEADER));
        Self { runtime, limits, files: Vec::new(), clock: 0 }
    }

    /// An empty log and these modules.
    ///
    /// # Panics
    ///
    /// When one is refused.
    pub fn of(guests: &[&Guest]) -> Self {
        let mut fixture = Self::new();
        for guest in guests {
            fixture.install(guest).expect("a good module");
        }
        fixture
    }

    /// The next time of the fixture's clock.
    pub fn now(&mut self) -> Inputs {
        self.clock += 1;
        at(self.clock)
    }

    /// Installs a module.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn install(&mut self, guest: &Guest) -> Result<Installed, InstallError<Infallible>> {
        self.install_file(guest.wasm())
    }

    /// Installs a module file.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn install_file(&mut self, wasm: Vec<u8>) -> Result<Installed, InstallError<Infallible>> {
        let now = self.now();
        let installed = self.runtime.install(&wasm, now)?;
        self.files.push(wasm);
        Ok(installed)
    }

    /// Calls `MODULE.REDUCER`, at the next time of the clock.
    ///
    /// # Errors
    ///
    /// When the call fails.
    pub fn call(&mut self, reducer: &str, args: &[u8]) -> Result<Called, CallError<Infallible>> {
        let now = self.now();
        self.call_at(reducer, args, now)
    }

    /// Calls `MODULE.REDUCER` with these inputs.
    ///
    /// # Errors
    ///
    /// When the call fails.
    pub fn call_at(
        &mut self,
        reducer: &str,
        args: &[u8],
        inputs: Inputs,
    ) -> Result<Called, CallError<Infallible>> {
        let (module, name) = split(reducer);
        let target = self.runtime.reducer(module, name)?;
        self.runtime.call(target, args, inputs)
    }

    /// Asks `MODULE.QUERY`.
    ///
    /// # Errors
    ///
    /// When the query fails.
    pub fn query(&mut self, query: &str, args: &[u8]) -> Result<Answer, CallError<Infallible>> {
        let (module, name) = split(query);
        let target = self.runtime.query_ref(module, name)?;
        let now = self.now();
        self.runtime.query(target, args, now)
    }

    /// Runs the scheduled calls that are due at a time.
    ///
    /// # Panics
    ///
    /// When code is missing.
    pub fn run_due(&mut self, micros: i64) -> Vec<SubscriptionFailure> {
        self.runtime.run_due(at(micros)).expect("a log in memory, and all code")
    }

    /// The state.
    pub fn state(&self) -> &CommittedState {
        self.runtime.state()
    }

    /// The rows of `MODULE.TABLE`, as text.
    ///
    /// # Panics
    ///
    /// When there is no such table.
    pub fn rows(&self, table: &str) -> Vec<String> {
        rows(self.state(), table)
    }

    /// The bytes of the log.
    pub fn bytes(&self) -> &[u8] {
        self.runtime.log().bytes()
    }

    /// The commits, with their types.
    pub fn records(&self) -> Vec<Record> {
        let mut state = CommittedState::new(HEADER.seed, self.limits.clone());
        let mut records = Vec::new();
        for (offset, commit) in commits(self.bytes()) {
            records.push(state.read(offset, &commit).expect("it reads"));
            state.replay(offset, &commit).expect("it replays");
        }
        records
    }

    /// What another process finds: the same log and files, and nothing else.
    pub fn reopened(&self) -> Self {
        self.opened(self.bytes()).expect("a good log")
    }

    /// The log opened by a host with other limits.
    ///
    /// # Panics
    ///
    /// When it does not replay.
    #[must_use]
    pub fn reopened_under(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self.reopened()
    }

    /// What another process finds that gets the first `commits` commits.
    pub fn cut(&self, commits_left: usize) -> Self {
        let commits = commits(self.bytes()).into_iter().take(commits_left);
        self.opened(&chained(commits.map(|(_, commit)| commit))).expect("a good log")
    }

    /// Opens a log with this fixture's files. The runtime has not run anything.
    ///
    /// # Errors
    ///
    /// When the log does not replay.
    pub fn opened(&self, bytes: &[u8]) -> Result<Self, ReplayError> {
        let log = MemoryLog::from_bytes(bytes.to_vec()).expect("a good header");
        let state = replay(log.bytes(), &self.limits)?;
        let mut runtime = Runtime::new(state, log);
        for file in &self.files {
            // A file that an upgrade has replaced, or whose installation was cut.
            let _ = runtime.attach(file);
        }
        let files = self.files.clone();
        Ok(Self { runtime, limits: self.limits.clone(), files, clock: self.clock })
    }

    /// Re-executes the log.
    pub fn reexecuted(&self) -> Vec<Step> {
        self.reexecute(self.bytes()).expect("a good log")
    }

    /// Re-executes another log with this fixture's files.
    ///
    /// # Errors
    ///
    /// When the log does not replay.
    pub fn reexecute(&self, bytes: &[u8]) -> Result<Vec<Step>, ReplayError> {
        let mut again = Reexecution::new(HEADER.seed);
        for file in &self.files {
            again.attach(file);
        }
        let commits = commits(bytes);
        commits.iter().map(|(offset, commit)| again.step(*offset, commit)).collect()
    }

    /// Asserts that the log replays to this very state, and re-executes to
    /// itself.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn assert_replays(&self) {
        let files = self.files.iter().map(Vec::as_slice);
        properties::assert_replays(self.bytes(), &self.limits, files, self.state());
    }
}

fn split(function: &str) -> (&str, &str) {
    function.split_once('.').expect("MODULE.FUNCTION")
}

/// The rows of `MODULE.TABLE` in a state, as text.
///
/// # Panics
///
/// When there is no such table.
pub fn rows(state: &CommittedState, table: &str) -> Vec<String> {
    let (module, name) = split(table);
    let table = state.table(module, name).expect("a table of the module");
    table.rows().map(|row| table.layout().display(row).to_string()).collect()
}

/// The commits of a log, up to its first bad byte.
///
/// # Panics
///
/// When the header is bad.
pub fn commits(bytes: &[u8]) -> Vec<(TxOffset, Vec<u8>)> {
    let frames = interstice_core::log::frame::Frames::new(bytes).expect("a good header");
    frames.map(|(offset, commit)| (offset, commit.to_vec())).collect()
}

/// A log of these commits, with good checksums whatever they are.
pub fn chained(commits: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let segment = HEADER.first_segment();
    let mut chain: Chain = segment.chain();
    let mut bytes = segment.encode().to_vec();
    for commit in commits {
        chain.append(&commit, true, &mut bytes);
    }
    bytes
}

/// The state that a log of a fixture makes.
///
/// # Errors
///
/// When it does not replay.
///
/// # Panics
///
/// When the header is bad.
pub fn replay(bytes: &[u8], limits: &Limits) -> Result<CommittedState, ReplayError> {
    let header: Result<SegmentHeader, HeaderError> = SegmentHeader::decode(bytes);
    let seed = header.expect("a good header").log.seed;
    let mut state = CommittedState::new(seed, limits.clone());
    for (offset, commit) in commits(bytes) {
        state.replay(offset, &commit)?;
    }
    Ok(state)
}
