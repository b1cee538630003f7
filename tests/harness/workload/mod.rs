//! Calls out of a seed.
//!
//! A [`Workload`] is an endless sequence of [`Step`]s. Most scripts it writes
//! do something with rows; some fail at their end, trap, run out of fuel, break
//! a rule, call another module that fails, or queue a chain that does any of
//! these further down.

use interstice_core::abi::{
    filter::Comparison, ids::NameId, layout::Layout, schema::ModuleSchema, value::Value,
};

use crate::{
    guest::script::{self, BoundSpec, KeyAndRow, Op, ScanSpec, bytes_value},
    random::Random,
};

mod modules;
mod values;

pub use modules::{WorkloadModule, modules, work_upgrade};

/// One thing that happens to a runtime.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A reducer of a module is called with this script, with a seed or without.
    Call {
        /// The module.
        module: &'static str,
        /// The reducer.
        reducer: &'static str,
        /// The script.
        script: Script,
        /// The seed the host gives.
        seed: Option<u64>,
    },
    /// A query of a module is asked with this script.
    Query {
        /// The module.
        module: &'static str,
        /// The script.
        script: Script,
    },
    /// The host's clock shows another time, and what is due runs.
    RunDue,
    /// The log is synced.
    Sync,
    /// The process ends, and another one opens the log.
    Reopen,
    /// A later version of `work` is installed.
    Upgrade,
}

/// A script, and every script that rows and arguments in it carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// All of them with their meaning, this one too.
    pub known: Vec<(Vec<u8>, Vec<Op>)>,
}

impl Script {
    /// The arguments of a function that takes the script.
    pub fn args(&self) -> Vec<u8> {
        bytes_value(&self.bytes)
    }
}

/// A sequence of steps, and the host's clock.
#[derive(Clone, Debug)]
pub struct Workload {
    random: Random,
    schema: ModuleSchema,
    upgraded: bool,
    time: i64,
}

const DATA: [&str; 3] = ["item", "note", "tag"];
const JOBS: [&str; 4] = ["job1", "job2", "job3", "job4"];

impl Workload {
    /// The workload of a seed.
    pub fn new(seed: u64) -> Self {
        let schema = modules()[1].model.schema.clone();
        Self { random: Random::new(seed), schema, upgraded: false, time: 0 }
    }

    /// What the host's clock shows. It mostly goes forward.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The next step.
    pub fn next_step(&mut self) -> Step {
        self.time += match self.random.below(10) {
            0 => -500,
            1 => 0,
            2 => 100_000,
            _ => 1 + self.random.below(1_000) as i64,
        };
        match self.random.below(100) {
            0..=69 => self.call(),
            70..=84 => {
                let module = *self.random.pick(&["store", "work"]);
                Step::Query { module, script: self.query_script() }
            }
            85..=92 => Step::RunDue,
            93..=95 => Step::Sync,
            96..=98 => Step::Reopen,
            _ if self.upgraded => Step::Sync,
            _ => {
                self.upgraded = true;
                Step::Upgrade
            }
        }
    }

    fn call(&mut self) -> Step {
        let (module, reducer) = match self.random.below(10) {
            0..=1 => ("store", "run"),
            2 => ("work", "narrow"),
            3 => ("work", "later"),
            _ => ("work", "run"),
        };
        let depth = if module == "store" { JOBS.len() } else { 0 };
        let seed = self.random.chance(20).then(|| self.random.number());
        Step::Call { module, reducer, script: self.script(depth, true), seed }
    }

    /// A script. `depth` is how far down the chain of jobs it runs; calls into
    /// another module are made where `calls` says so.
    fn script(&mut self, depth: usize, calls: bool) -> Script {
        let mut known = Vec::new();
        let len = self.random.below(6);
        let mut ops: Vec<Op> = (0..len).map(|_| self.op(depth, calls, &mut known)).collect();
        if self.random.chance(25) {
            ops.push(self.ending());
        }
        self.finish(ops, known)
    }

    fn query_script(&mut self) -> Script {
        let mut known = Vec::new();
        let len = self.random.below(5);
        let mut ops: Vec<Op> = (0..len).map(|_| self.read()).collect();
        if self.random.chance(15) {
            ops.push(self.op(JOBS.len(), false, &mut known));
        }
        if self.random.chance(10) {
            ops.push(self.ending());
        }
        self.finish(ops, known)
    }

    fn finish(&self, ops: Vec<Op>, mut known: Vec<(Vec<u8>, Vec<Op>)>) -> Script {
        let bytes = script::encode(&ops, &|table| self.layouts(table));
        known.push((bytes.clone(), ops));
        Script { bytes, known }
    }

    fn op(&mut self, depth: usize, calls: bool, known: &mut Vec<(Vec<u8>, Vec<Op>)>) -> Op {
        match self.random.below(100) {
            0..=29 => self.insert(),
            30..=41 => {
                let table = self.data_table();
                Op::Update(NameId::of(table), self.row(table))
            }
            42..=49 => {
                let table = self.data_table();
                Op::Delete(NameId::of(table), self.key(table))
            }
            50..=52 => {
                let table = self.data_table();
                Op::DeleteWhere(NameId::of(table), self.scan(table))
            }
            53..=69 => self.read(),
            70..=84 if depth < JOBS.len() => {
                let script = self.nested(depth + 1, true, known);
                Op::Insert(NameId::of(JOBS[depth]), job_row(&script))
            }
            85..=90 if calls => {
                let target = *self.random.pick(&["run", "run", "ask", "on_item_gone"]);
                let script = self.nested(JOBS.len(), false, known);
                Op::Call(NameId::of_external("store", target), bytes_value(&script))
            }
            91..=93 => {
                let reducer = *self.random.pick(&["later", "run", "narrow", "on_job1", "nobody"]);
                let at = self.time + self.random.below(200_000) as i64 - 20_000;
                let script = self.nested(1, true, known);
                Op::Schedule(NameId::of(reducer), at, bytes_value(&script))
            }
            94 => self.mistake(),
            _ => self.aside(),
        }
    }

    fn nested(
        &mut self,
        depth: usize,
        calls: bool,
        known: &mut Vec<(Vec<u8>, Vec<Op>)>,
    ) -> Vec<u8> {
        let script = self.script(depth, calls);
        known.extend(script.known);
        script.bytes
    }

    /// How a script ends that does not just end.
    fn ending(&mut self) -> Op {
        match self.random.below(20) {
            0..=9 => {
                let len = self.random.below(5) as usize;
                Op::Fail(bytes_value(&self.random.bytes(len)))
            }
            10..=13 => Op::Trap,
            14..=16 => Op::Panic(b"the script says so".to_vec()),
            17 => Op::Recurse,
            18 => self.mistake(),
            _ => Op::Spin,
        }
    }

    /// Something that no correct guest does.
    fn mistake(&mut self) -> Op {
        let table = NameId::of(self.data_table());
        match self.random.below(6) {
            0 => Op::Insert(NameId::of("nowhere"), Vec::new()),
            1 => Op::Insert(table, vec![1, 2, 3]),
            2 => Op::Delete(table, vec![0xff; 3]),
            3 => Op::Insert(NameId::of("audit"), Vec::new()),
            4 => Op::Call(NameId::of_external("store", "nobody"), Vec::new()),
            _ => Op::Schedule(NameId::of("later"), 0, vec![9]),
        }
    }

    /// Something that changes no row.
    fn aside(&mut self) -> Op {
        match self.random.below(5) {
            0 => Op::Now,
            1 => Op::Random,
            2 => Op::Grow(self.random.below(100_000) as u32),
            3 => Op::Log(b"a line".to_vec()),
            _ => Op::Remember,
        }
    }

    fn read(&mut self) -> Op {
        let table = self.data_table();
        let id = NameId::of(table);
        match self.random.below(6) {
            0..=1 => Op::Get(id, self.key(table)),
            2 => Op::Count(id, self.scan(table)),
            3..=4 => Op::Scan(id, self.scan(table), 64 + self.random.below(1_000) as u32),
            _ => self.aside(),
        }
    }

    fn data_table(&mut self) -> &'static str {
        DATA[self.random.below(DATA.len() as u64) as usize]
    }

    fn insert(&mut self) -> Op {
        let table = self.data_table();
        let mut row = self.row(table);
        if table == "note" && self.random.chance(70) {
            row[..4].fill(0);
        }
        Op::Insert(NameId::of(table), row)
    }

    fn row(&mut self, table: &str) -> Vec<u8> {
        let layouts = self.layouts(NameId::of(table)).expect("a table of the workload");
        let mut row = self.encoded(&layouts.row);
        if table == "item" && self.random.chance(10) {
            // A NaN that is not the canonical one.
            row[12..20].copy_from_slice(&0xfff0_0000_0000_0001u64.to_le_bytes());
        }
        row
    }

    fn key(&mut self, table: &str) -> Vec<u8> {
        let layouts = self.layouts(NameId::of(table)).expect("a table of the workload");
        self.encoded(&layouts.key)
    }

    fn encoded(&mut self, layout: &Layout) -> Vec<u8> {
        let value = values::value(&mut self.random, layout);
        let mut bytes = Vec::new();
        layout.encode(&value, &mut bytes).expect("made for the layout");
        bytes
    }

    fn scan(&mut self, table: &str) -> ScanSpec {
        let layouts = self.layouts(NameId::of(table)).expect("a table of the workload");
        ScanSpec {
            lower: self.bound(&layouts.key),
            upper: self.bound(&layouts.key),
            reverse: self.random.chance(40),
            limit: self.random.chance(40).then(|| self.random.below(6) as u32),
            condition: self.condition(&layouts.row),
        }
    }

    fn bound(&mut self, key: &Layout) -> Option<BoundSpec> {
        if self.random.chance(60) {
            return None;
        }
        let columns = 1 + self.random.below(key.fields().len() as u64) as usize;
        let columns = key.fields()[..columns].iter();
        let columns = columns.map(|field| values::value(&mut self.random, &field.layout)).collect();
        Some(BoundSpec { columns, inclusive: self.random.chance(50) })
    }

    fn condition(&mut self, row: &Layout) -> Option<(u16, Comparison, Value)> {
        use interstice_core::abi::layout::Kind;
        if self.random.chance(60) {
            return None;
        }
        let column = self.random.below(row.fields().len() as u64) as usize;
        let layout = &row.fields()[column].layout;
        let compares = !matches!(layout.kind(), Kind::Option(_) | Kind::List(_) | Kind::Struct(_))
            && (layout.is_fixed() || !matches!(layout.kind(), Kind::Enum(_)));
        let comparison = *self.random.pick(&Comparison::ALL);
        compares.then(|| (column as u16, comparison, values::value(&mut self.random, layout)))
    }

    /// The layouts of a table. The data tables are the same in every module.
    fn layouts(&self, table: NameId) -> Option<KeyAndRow> {
        let def = self.schema.tables.iter().find(|def| NameId::of(&def.name) == table)?;
        let layout = |fields: &[_]| Layout::of_fields(&self.schema, fields).ok();
        Some(KeyAndRow {
            key: layout(&self.schema.key_columns(def))?,
            row: layout(self.schema.columns(def))?,
        })
    }
}

/// A row of a job table, to be numbered.
fn job_row(script: &[u8]) -> Vec<u8> {
    let mut row = vec![0; 8];
    row.extend_from_slice(&16u32.to_le_bytes());
    row.extend_from_slice(&(script.len() as u32).to_le_bytes());
    row.extend_from_slice(script);
    row
}
