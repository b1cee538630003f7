//! A workload against runtime and model, side by side.
//!
//! After every step the two must agree in everything that can be seen: how the
//! call ended, what it returned, which subscriptions failed, every row of every
//! table, what waits, the time, and the state hash. At the end the log is
//! replayed and re-executed, and every commit must leave what it left then.

use std::{collections::BTreeMap, fmt, thread};

use interstice_core::{
    CallError, CallErrorKind, Called, CommittedState, Failure, Inputs, Limits, Runtime, Timestamp,
    log::{MemoryLog, frame::LogHeader},
};

use crate::{
    model::{Ending, Model, Stop},
    properties,
    workload::{Script, Step, Workload, WorkloadModule, modules, work_upgrade},
};

/// What a simulation has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Commits in the log.
    pub commits: u64,
    /// Calls and queries that failed.
    pub failed: u64,
    /// Subscriptions and scheduled calls that failed and are recorded.
    pub failed_behind: u64,
    /// Times the log was opened again in between.
    pub reopened: u64,
}

/// The limits of a simulation: low where a workload should reach them.
pub fn limits() -> Limits {
    Limits {
        fuel_per_call: 1_000_000,
        guest_memory_bytes: 256 << 10,
        guest_recursion: 64,
        subscription_depth: 3,
        ..Limits::default()
    }
}

/// Runs the workload of `seed` for so many steps.
///
/// # Panics
///
/// When runtime, model, replay and re-execution do not agree. The seed is
/// printed then, and what runs it alone.
pub fn run(seed: u64, steps: usize) -> Report {
    let _announce = Announce { seed };
    let mut simulation = Simulation::new(seed);
    for _ in 0..steps {
        simulation.step();
    }
    simulation.check_log();
    simulation.report.commits = simulation.model.commits();
    simulation.report
}

/// The log of the workload of `seed` after so many steps.
///
/// # Panics
///
/// As [`run`].
pub fn history(seed: u64, steps: usize) -> Vec<u8> {
    let _announce = Announce { seed };
    let mut simulation = Simulation::new(seed);
    for _ in 0..steps {
        simulation.step();
    }
    simulation.runtime.log().bytes().to_vec()
}

/// Says how to repeat a run when it fails.
struct Announce {
    seed: u64,
}

impl Drop for Announce {
    fn drop(&mut self) {
        if thread::panicking() {
            let seed = self.seed;
            eprintln!(
                "seed {seed} failed; it alone: INTERSTICE_SEED={seed} cargo test -p interstice-tests --test suite replay_equals"
            );
        }
    }
}

struct Simulation {
    runtime: Runtime<MemoryLog>,
    model: Model,
    workload: Workload,
    installed: Vec<&'static WorkloadModule>,
    /// The state hash behind so many commits, as far as calls have ended there.
    hashes: BTreeMap<u64, u64>,
    header: LogHeader,
    report: Report,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let header = LogHeader { log_id: [seed as u8; 16], seed };
        let state = CommittedState::new(seed, limits());
        let mut simulation = Self {
            runtime: Runtime::new(state, MemoryLog::new(header)),
            model: Model::new(seed, limits()),
            workload: Workload::new(seed),
            installed: Vec::new(),
            hashes: BTreeMap::new(),
            header,
            report: Report::default(),
        };
        for module in modules() {
            simulation.install(module);
        }
        simulation
    }

    fn inputs(&self) -> Inputs {
        Inputs::at(Timestamp(self.workload.time()))
    }

    fn install(&mut self, module: &'static WorkloadModule) {
        let inputs = self.inputs();
        self.runtime.install(&module.wasm, inputs).expect("it fits");
        self.model.install(module.model.clone(), inputs);
        self.installed.push(module);
        self.compare();
    }

    fn step(&mut self) {
        match self.workload.next_step() {
            Step::Call { module, reducer, script, seed } => {
                let inputs = Inputs { seed, ..self.inputs() };
                self.call(module, reducer, &script, inputs);
            }
            Step::Query { module, script } => self.query(module, &script),
            Step::RunDue => self.run_due(),
            Step::Sync => self.runtime.sync().unwrap_or_else(|never| match never {}),
            Step::Reopen => self.reopen(),
            Step::Upgrade => self.install(work_upgrade()),
        }
        self.compare();
    }

    fn learn(&mut self, script: &Script) {
        for (bytes, ops) in &script.known {
            self.model.learn(bytes, ops);
        }
    }

    fn call(&mut self, module: &str, reducer: &str, script: &Script, inputs: Inputs) {
        self.learn(script);
        let expected = self.model.call(module, reducer, &script.args(), inputs);
        let target = self.runtime.reducer(module, reducer).expect("it is there");
        let called = self.runtime.call(target, &script.args(), inputs);
        let (ending, failures) = match called {
            Ok(Called { result, failures, .. }) => {
                (Ending::Committed(result), failures.iter().map(|f| f.code).collect())
            }
            Err(error) => (ending_of(error, &expected.ending), Vec::new()),
        };
        assert_eq!(ending, expected.ending, "the call of {module}.{reducer} ends like that");
        assert_eq!(failures, expected.failures, "what failed behind {module}.{reducer}");
        self.report.failed += u64::from(ending.code() != 0);
        self.report.failed_behind += failures.len() as u64;
    }

    fn query(&mut self, module: &str, script: &Script) {
        self.learn(script);
        let inputs = self.inputs();
        let expected = self.model.query(module, "ask", &script.args(), inputs);
        let target = self.runtime.query_ref(module, "ask").expect("it is there");
        let ending = match self.runtime.query(target, &script.args(), inputs) {
            Ok(answer) => Ending::Committed(answer.result),
            Err(error) => ending_of(error, &expected),
        };
        assert_eq!(ending, expected, "the query of {module} ends like that");
        self.report.failed += u64::from(ending.code() != 0);
    }

    fn run_due(&mut self) {
        let inputs = self.inputs();
        let expected = self.model.run_due(inputs);
        let failures = self.runtime.run_due(inputs).expect("a log in memory");
        let failures: Vec<u8> = failures.iter().map(|failure| failure.code).collect();
        assert_eq!(failures, expected, "what failed of the scheduled calls");
        self.report.failed_behind += failures.len() as u64;
    }

    /// Goes on with nothing but the module files and the log's bytes, or every
    /// other time a snapshot.
    fn reopen(&mut self) {
        let log = MemoryLog::from_bytes(self.runtime.log().bytes().to_vec()).expect("its header");
        let mut state = CommittedState::new(self.header.seed, limits());
        for (offset, commit) in log.frames().expect("its header") {
            state.replay(offset, commit).expect("it replays");
        }
        if self.report.reopened % 2 == 1 {
            state = properties::assert_snapshot(&state, self.workload.time().unsigned_abs());
        }
        self.runtime = Runtime::new(state, log);
        for module in &self.installed {
            // The file that an upgrade has replaced is not installed any more.
            let _ = self.runtime.attach(&module.wasm);
        }
        self.report.reopened += 1;
    }

    /// Everything that can be seen of the state.
    fn compare(&mut self) {
        let state = self.runtime.state();
        assert_eq!(state.next_offset().0, self.model.commits(), "commits");
        assert_eq!(state.time().0, self.model.time(), "time");
        assert_eq!(state.pending(), self.model.pending(), "subscriptions that wait");
        assert_eq!(state.scheduled(), self.model.scheduled(), "scheduled calls");
        for (module, name, rows) in self.model.tables() {
            let table = state.table(module, name).expect("the table is there");
            assert!(table.rows().eq(rows), "the rows of {module}.{name}");
        }
        assert_eq!(state.state_hash(), self.model.state_hash(), "state hash");
        self.hashes.insert(state.next_offset().0, state.state_hash());
    }

    /// Replays and re-executes the log, and compares with what was live then.
    fn check_log(&self) {
        let log = self.runtime.log().bytes();
        let files = self.installed.iter().map(|module| module.wasm.as_slice());
        let hashes = properties::assert_replays(log, &limits(), files, self.runtime.state());
        for (commits, live) in &self.hashes {
            assert_eq!(hashes[*commits as usize - 1], *live, "state hash behind commit {commits}");
        }
    }
}

/// How a failed call ended, in the model's words.
fn ending_of<E: fmt::Debug>(error: CallError<E>, expected: &Ending) -> Ending {
    let CallErrorKind::Failed(failure) = error.kind else {
        panic!("expected {expected:?}, got {error:?}");
    };
    match *failure {
        Failure::Error(error) => Ending::Error(error),
        Failure::Trap { .. } => Ending::Stopped(Stop::Trap),
        Failure::OutOfFuel { .. } => Ending::Stopped(Stop::Fuel),
        Failure::Rule(_) => Ending::Stopped(Stop::Rule),
        Failure::Limit(_) => Ending::Stopped(Stop::Limit),
        other => panic!("expected {expected:?}, got {other:?}"),
    }
}
