//! A workload against runtime and model, side by side.
//!
//! After every step the two must agree in everything that can be seen: how the
//! call ended, what it returned, which subscriptions failed, every row of every
//! table, what waits, the time, and the state hash. At the end the log is
//! replayed and re-executed, and every commit must leave what it left then.

use std::{fmt, thread};

use interstice_core::{
    CallError, CallErrorKind, Called, CommittedState, Failure, Inputs, Limits, Reexecution,
    Runtime, Timestamp,
    log::{MemoryLog, frame::LogHeader},
};

use crate::{
    model::{Ending, Model},
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

/// Says how to repeat a run when it fails.
struct Announce {
    seed: u64,
}

impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed;
        write!(
            f,
            "seed {seed} failed; it alone: INTERSTICE_SEED={seed} cargo test -p interstice-tests --test suite replay_equals"
        )
    }
}

impl Drop for Announce {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{self}");
        }
    }
}

struct Simulation {
    runtime: Runtime<MemoryLog>,
    model: Model,
    workload: Workload,
    installed: Vec<&'static WorkloadModule>,
    /// The state hash behind every commit.
    hashes: Vec<u64>,
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
            hashes: Vec::new(),
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

    /// Goes on with nothing but the log's bytes and the module files.
    fn reopen(&mut self) {
        let log = MemoryLog::from_bytes(self.runtime.log().bytes().to_vec()).expect("its header");
        let mut state = CommittedState::new(self.header.seed, limits());
        for (offset, commit) in log.frames().expect("its header") {
            state.replay(offset, commit).expect("it replays");
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
        self.hashes.resize(state.next_offset().0 as usize, 0);
        if let Some(last) = self.hashes.last_mut() {
            *last = state.state_hash();
        }
    }

    /// Replays and re-executes the log, and compares after every commit.
    fn check_log(&self) {
        let mut replayed = CommittedState::new(self.header.seed, limits());
        let mut again = Reexecution::new(self.header.seed, limits());
        for module in &self.installed {
            again.attach(&module.wasm).expect("it loads");
        }
        for (offset, commit) in self.runtime.log().frames().expect("its header") {
            replayed.replay(offset, commit).expect("it replays");
            let step = again.step(offset, commit).expect("it replays");
            assert!(step.is_good(), "commit {offset} re-executed: {step:?}");
            assert_eq!(replayed.state_hash(), again.state().state_hash());
            // Zero where the call behind it has gone on without a comparison.
            let live = self.hashes[offset.0 as usize];
            assert!(live == 0 || live == replayed.state_hash(), "state hash at commit {offset}");
        }
        assert_eq!(replayed.next_offset(), self.runtime.state().next_offset());
        assert_same(&replayed, self.runtime.state());
    }
}

/// Whether a step of re-execution has shown that nothing differs.
trait IsGood {
    fn is_good(&self) -> bool;
}

impl IsGood for interstice_core::Step {
    fn is_good(&self) -> bool {
        matches!(self, Self::Identical | Self::Installed)
    }
}

/// Asserts that two states are the same in everything that can be seen.
///
/// # Panics
///
/// When they are not.
pub fn assert_same(one: &CommittedState, other: &CommittedState) {
    assert_eq!(one.next_offset(), other.next_offset(), "commits");
    assert_eq!(one.time(), other.time(), "time");
    assert_eq!(one.pending(), other.pending(), "subscriptions that wait");
    assert_eq!(one.scheduled(), other.scheduled(), "scheduled calls");
    assert_eq!(one.next_due(), other.next_due(), "the next scheduled call");
    assert_eq!(one.modules().len(), other.modules().len(), "modules");
    for (one, other) in one.modules().iter().zip(other.modules()) {
        assert_eq!(one.schema(), other.schema());
        assert_eq!(one.content_hash(), other.content_hash());
    }
    assert_eq!(one.tables().len(), other.tables().len(), "tables");
    for (one, other) in one.tables().iter().zip(other.tables()) {
        let name = one.name();
        assert_eq!(name, other.name());
        assert!(one.rows().eq(other.rows()), "the rows of {name}");
        assert_eq!(one.hash(), other.hash(), "the hash of {name}");
        assert_eq!(one.bytes(), other.bytes(), "the bytes of {name}");
    }
    assert_eq!(one.state_hash(), other.state_hash(), "state hash");
}

/// How a failed call ended, in the model's words.
fn ending_of<E: fmt::Debug>(error: CallError<E>, expected: &Ending) -> Ending {
    use crate::model::Stop;
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
