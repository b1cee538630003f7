//! One transaction of the model.

use interstice_core::abi::{
    errno::Errno,
    ids::NameId,
    layout::Layout,
    schema::{AccessSet, FunctionDef},
};

use super::{
    Behaviour, Contents, Ending, Model, ModelFunction, ModelTable, Scheduled, Stop, Target, key,
};
use crate::{
    guest::script::{Op, ScanSpec, bytes_value},
    model::KeyPart,
    random::Random,
};

/// A transaction: a copy of everything, and what it has touched.
pub(super) struct Execution<'a> {
    model: &'a Model,
    pub(super) tables: Vec<Contents>,
    /// Rows in the order in which they were first written.
    pub(super) touched: Vec<(usize, Vec<KeyPart>)>,
    pub(super) schedules: Vec<(i64, Scheduled)>,
    random: Random,
    now: i64,
    /// The modules that run, outermost first.
    running: Vec<usize>,
}

/// A function that runs.
struct Frame<'a> {
    target: Target,
    function: &'a ModelFunction,
    /// What the guest has written down for its result.
    out: Vec<u8>,
    remembered: u32,
    memory: u32,
}

/// Why a script stops before its end.
enum Halt {
    Error(Vec<u8>),
    Stop(Stop),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl<'a> Execution<'a> {
    pub(super) fn new(model: &'a Model, seed: u64, now: i64) -> Self {
        Self {
            model,
            tables: model.contents.clone(),
            touched: Vec::new(),
            schedules: Vec::new(),
            random: Random::new(seed),
            now,
            running: Vec::new(),
        }
    }

    /// Runs a function.
    pub(super) fn run(&mut self, target: Target, args: &[u8]) -> Ending {
        if self.running.contains(&target.module) {
            return Ending::Stopped(Stop::Rule);
        }
        self.running.push(target.module);
        let module = &self.model.modules[target.module];
        let function = &module.functions[target.function];
        let memory = module.memory;
        let mut frame = Frame { target, function, out: Vec::new(), remembered: 0, memory };
        let halted = match function.behaviour {
            Behaviour::RunArgument => self.script(&mut frame, &args[8..]),
            Behaviour::RunRow => self.script(&mut frame, &args[16..]),
            Behaviour::Audit(kind) => self.audit(&mut frame, kind, args),
        };
        self.running.pop();
        match halted {
            Ok(()) if function.behaviour == Behaviour::RunArgument => {
                Ending::Committed(bytes_value(&frame.out))
            }
            Ok(()) => Ending::Committed(Vec::new()),
            Err(Halt::Error(error)) => Ending::Error(error),
            Err(Halt::Stop(stop)) => Ending::Stopped(stop),
        }
    }

    fn audit(&mut self, frame: &mut Frame<'_>, kind: u8, args: &[u8]) -> Result<(), Halt> {
        let mut row = vec![0; 8];
        row.push(kind);
        row.extend_from_slice(&17u32.to_le_bytes());
        row.extend_from_slice(&(args.len() as u32).to_le_bytes());
        row.extend_from_slice(args);
        self.insert(frame, NameId::of("audit"), &row)?;
        Ok(())
    }

    fn script(&mut self, frame: &mut Frame<'_>, bytes: &[u8]) -> Result<(), Halt> {
        let script = self.model.scripts.get(bytes).expect("a script the model was told").clone();
        script.iter().try_for_each(|op| self.op(frame, op))
    }

    fn op(&mut self, frame: &mut Frame<'_>, op: &Op) -> Result<(), Halt> {
        match op {
            Op::Insert(table, row) => {
                let (status, row) = self.insert(frame, *table, row)?;
                frame.emit_i32(status);
                frame.out.extend_from_slice(&row);
            }
            Op::Update(table, row) => {
                let status = self.update(frame, *table, row)?;
                frame.emit_i32(status);
            }
            Op::Delete(table, key) => {
                let status = self.delete(frame, *table, key)?;
                frame.emit_i32(status);
            }
            Op::Get(table, key) => self.get(frame, *table, key)?,
            Op::Count(table, spec) => {
                let table = self.table(frame, *table, AccessSet::READ)?;
                let count = self.visited(table, spec).len() as i64;
                frame.emit_i64(count);
            }
            Op::Scan(table, spec, capacity) => self.scan(frame, *table, spec, *capacity)?,
            Op::DeleteWhere(table, spec) => {
                let table = self.table(frame, *table, AccessSet::DELETE)?;
                let keys = self.visited(table, spec);
                frame.emit_i64(keys.len() as i64);
                for (key, _) in keys {
                    self.put(table, key, None);
                }
            }
            Op::Now => frame.emit_i64(self.now),
            Op::Random => frame.emit_i64(self.random.number() as i64),
            Op::Schedule(reducer, at, args) => {
                self.schedule(frame, *reducer, *at, args)?;
                frame.emit_i32(0);
            }
            Op::Call(target, args) => self.call(frame, *target, args)?,
            Op::Remember => {
                let count = frame.remembered as i32;
                frame.emit_i32(count);
                frame.emit_i32(count);
                frame.remembered += 1;
            }
            Op::Grow(bytes) => {
                let grown = u64::from(frame.memory) + u64::from(*bytes);
                if grown > self.model.limits.guest_memory_bytes as u64 {
                    frame.emit_i32(-1);
                } else {
                    let before = core::mem::replace(&mut frame.memory, grown as u32);
                    frame.emit_i32(before as i32);
                }
            }
            Op::Fail(error) if frame.function.def.error.is_some() => {
                return Err(Halt::Error(error.clone()));
            }
            Op::Fail(_) => return Err(Stop::Rule.into()),
            Op::Panic(_) | Op::Trap | Op::Recurse => return Err(Stop::Trap.into()),
            Op::Spin => return Err(Stop::Fuel.into()),
            Op::Log(_) => {}
        }
        Ok(())
    }

    /// The table, if the running function may do `operation` with it.
    fn table(&self, frame: &Frame<'_>, id: NameId, operation: AccessSet) -> Result<usize, Stop> {
        let module = frame.target.module;
        let mut tables = self.model.tables.iter();
        let table = tables
            .position(|table| table.module == module && NameId::of(&table.def.name) == id)
            .ok_or(Stop::Rule)?;
        if !allows(&frame.function.def, &self.model.tables[table], operation) {
            return Err(Stop::Rule);
        }
        Ok(table)
    }

    fn insert(
        &mut self,
        frame: &Frame<'_>,
        id: NameId,
        given: &[u8],
    ) -> Result<(i32, Vec<u8>), Stop> {
        let table = self.table(frame, id, AccessSet::INSERT)?;
        let known = &self.model.tables[table];
        let mut row = checked(&known.layout, given)?;
        let mut seen = given.to_vec();
        let next = self.tables[table].next;
        if let Some(column) = known.def.auto_increment {
            let field = &known.layout.fields()[usize::from(column)];
            let at = field.offset as usize..field.offset as usize + field.layout.size();
            if row[at.clone()].iter().all(|byte| *byte == 0) {
                if next == 0 {
                    return Err(Stop::Limit);
                }
                row[at.clone()].copy_from_slice(&next.to_le_bytes()[..at.len()]);
                seen[at.clone()].copy_from_slice(&row[at]);
            }
        }
        let key = known.key(&row);
        if self.tables[table].rows.contains_key(&key) {
            return Ok((Errno::DuplicateKey.code(), given.to_vec()));
        }
        self.tables[table].next = known.next_after(next, &row);
        self.put(table, key, Some(row));
        Ok((0, seen))
    }

    fn update(&mut self, frame: &Frame<'_>, id: NameId, row: &[u8]) -> Result<i32, Stop> {
        let table = self.table(frame, id, AccessSet::UPDATE)?;
        let known = &self.model.tables[table];
        let row = checked(&known.layout, row)?;
        let key = known.key(&row);
        if !self.tables[table].rows.contains_key(&key) {
            return Ok(Errno::NotFound.code());
        }
        self.put(table, key, Some(row));
        Ok(0)
    }

    fn delete(&mut self, frame: &Frame<'_>, id: NameId, key_row: &[u8]) -> Result<i32, Stop> {
        let table = self.table(frame, id, AccessSet::DELETE)?;
        let key = self.key_row(table, key_row)?;
        if !self.tables[table].rows.contains_key(&key) {
            return Ok(Errno::NotFound.code());
        }
        self.put(table, key, None);
        Ok(0)
    }

    fn get(&mut self, frame: &mut Frame<'_>, id: NameId, key_row: &[u8]) -> Result<(), Stop> {
        let table = self.table(frame, id, AccessSet::READ)?;
        let key = self.key_row(table, key_row)?;
        match self.tables[table].rows.get(&key) {
            Some(row) => {
                frame.emit_i32(row.len() as i32);
                frame.out.extend_from_slice(row);
            }
            None => frame.emit_i32(Errno::NotFound.code()),
        }
        Ok(())
    }

    fn scan(
        &mut self,
        frame: &mut Frame<'_>,
        id: NameId,
        spec: &ScanSpec,
        capacity: u32,
    ) -> Result<(), Stop> {
        let table = self.table(frame, id, AccessSet::READ)?;
        for (_, row) in self.visited(table, spec) {
            if row.len() + 4 > capacity as usize {
                frame.emit_i32(Errno::BufferTooSmall.code());
                return Ok(());
            }
            frame.emit_i32(row.len() as i32);
            frame.out.extend_from_slice(&row);
        }
        frame.emit_i32(0);
        Ok(())
    }

    /// The rows that a scan visits, in its order.
    fn visited(&self, table: usize, spec: &ScanSpec) -> Vec<(Vec<KeyPart>, Vec<u8>)> {
        let layout = &self.model.tables[table].layout;
        let rows = self.tables[table].rows.iter();
        let mut visited: Vec<_> = rows
            .filter(|(key, row)| key::visits(spec, layout, key, row))
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        if spec.reverse {
            visited.reverse();
        }
        visited.truncate(spec.limit.map_or(usize::MAX, |limit| limit as usize));
        visited
    }

    fn schedule(
        &mut self,
        frame: &Frame<'_>,
        reducer: NameId,
        at: i64,
        args: &[u8],
    ) -> Result<(), Stop> {
        if frame.function.query {
            return Err(Stop::Rule);
        }
        let module = frame.target.module;
        let target = self.model.target_by_id(module, reducer).ok_or(Stop::Rule)?;
        let function = &self.model.modules[module].functions[target.function];
        if function.query || function.def.trigger.is_some() {
            return Err(Stop::Rule);
        }
        let args = checked(&function.args, args)?;
        // What is late already is due now.
        self.schedules.push((at.max(self.now), Scheduled { module, reducer, args }));
        Ok(())
    }

    fn call(&mut self, frame: &mut Frame<'_>, id: NameId, args: &[u8]) -> Result<(), Halt> {
        if self.running.len() > self.model.limits.call_depth {
            return Err(Stop::Limit.into());
        }
        let mut calls = frame.function.def.calls.iter();
        let call = calls.find(|call| NameId::of_external(&call.module, &call.function) == id);
        let call = call.ok_or(Stop::Rule)?;
        let target = self.model.target(&call.module, &call.function);
        let function = &self.model.modules[target.module].functions[target.function];
        let args = checked(&function.args, args)?;
        let savepoint = (self.tables.clone(), self.touched.clone(), self.schedules.clone());
        match self.run(target, &args) {
            Ending::Committed(result) => {
                frame.emit_i32(result.len() as i32);
                frame.out.extend_from_slice(&result);
                Ok(())
            }
            Ending::Error(error) => {
                (self.tables, self.touched, self.schedules) = savepoint;
                frame.emit_i32(Errno::CalleeFailed.code());
                frame.emit_i32(error.len() as i32);
                frame.out.extend_from_slice(&error);
                Ok(())
            }
            Ending::Stopped(stop) => Err(stop.into()),
        }
    }

    fn key_row(&self, table: usize, key_row: &[u8]) -> Result<Vec<KeyPart>, Stop> {
        let table = &self.model.tables[table];
        let schema = &self.model.modules[table.module].schema;
        let layout = Layout::of_fields(schema, &schema.key_columns(&table.def));
        let layout = layout.expect("a valid schema");
        Ok(key::of_key_row(&layout, &checked(&layout, key_row)?))
    }

    fn put(&mut self, table: usize, key: Vec<KeyPart>, row: Option<Vec<u8>>) {
        let touched = (table, key.clone());
        if !self.touched.contains(&touched) {
            self.touched.push(touched);
        }
        match row {
            Some(row) => drop(self.tables[table].rows.insert(key, row)),
            None => drop(self.tables[table].rows.remove(&key)),
        }
    }
}

impl Frame<'_> {
    fn emit_i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn emit_i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }
}

fn allows(function: &FunctionDef, table: &ModelTable, operation: AccessSet) -> bool {
    let access = function.access.iter().find(|access| access.table == table.def.name);
    access.is_some_and(|access| access.allowed.contains(operation))
}

/// The value as the host keeps it: checked, with canonical NaNs.
fn checked(layout: &Layout, bytes: &[u8]) -> Result<Vec<u8>, Stop> {
    let mut bytes = bytes.to_vec();
    layout.check(&mut bytes).map_err(|_| Stop::Rule)?;
    Ok(bytes)
}
