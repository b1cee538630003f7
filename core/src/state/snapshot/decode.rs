//! Snapshot content -> state, piece by piece.

use alloc::{boxed::Box, collections::BTreeSet, format, string::String, sync::Arc, vec::Vec};

use abi::{
    bytes::{DecodeFault, Reader},
    ids::NameId,
    layout::Layout,
    schema::{ModuleSchema, SchemaError, limits as schema_limits},
};
use interstice_abi as abi;
use xxhash_rust::xxh64::Xxh64;

use super::{
    super::{
        CommittedState, Function, FunctionKind, InstallRefusal, InstalledModule, Refused, Routes,
        Scheduled, Table,
        install::{resolve_calls, resolve_functions},
        subscription::{Pending, find_cycle},
        table::Misplaced,
    },
    SNAPSHOT_VERSION, SnapshotError, SnapshotFault, SnapshotPlace,
};
use crate::{
    hash,
    ids::{FunctionRef, ModuleId, TableId, Timestamp, TxOffset},
    limits::{Limits, VALUE_BYTES_MAX},
};

/// The largest arguments in the queue: an old and a new row.
const ARGS_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX;

/// Makes a state of [snapshot content](crate::snapshot) that comes in pieces,
/// wherever they are cut.
///
/// The content is not trusted: it makes a state that could have come about, or
/// an error. Besides the state, memory is taken for one item that is cut (a row,
/// arguments, a schema), and for the numbers of scheduled calls.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use interstice_core::{CommittedState, Limits, snapshot::SnapshotDecoder};
///
/// let state = CommittedState::new(42, Limits::default());
/// let mut content = Vec::new();
/// state.encode_snapshot(&mut |piece: &[u8]| {
///     content.extend_from_slice(piece);
///     Ok::<(), std::convert::Infallible>(())
/// })?;
///
/// let mut decoder = SnapshotDecoder::new(Limits::default());
/// for piece in content.chunks(7) {
///     decoder.push(piece)?;
/// }
/// assert_eq!(decoder.finish()?.state_hash(), state.state_hash());
/// # Ok(())
/// # }
/// ```
pub struct SnapshotDecoder {
    state: CommittedState,
    phase: Phase,
    /// Numbers of the scheduled calls so far.
    schedule_numbers: BTreeSet<u64>,
    /// Of everything before the item that is next.
    checksum: Xxh64,
    /// The beginning of an item that is cut.
    cut: Vec<u8>,
    /// Bytes that this item has at least.
    needed: usize,
    failed: Option<SnapshotError>,
}

/// The item that is next.
#[derive(Debug)]
enum Phase {
    Head,
    ModuleCount,
    Modules { left: u32 },
    TableCount,
    Tables { left: u32 },
    Rows { table: Box<Table>, left: u64, tables_left: u32 },
    QueueCount,
    Queue { left: u64 },
    ScheduleCount,
    Schedule { left: u64 },
    End,
    Done,
}

/// Why an item is not decoded.
enum Stop {
    /// It has at least this many bytes.
    Needs(usize),
    Fault(SnapshotFault),
}

impl<F: Into<SnapshotFault>> From<F> for Stop {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

impl SnapshotDecoder {
    /// Begins with a state that gets these limits. What a snapshot holds does
    /// not depend on them.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: CommittedState::new(0, limits),
            phase: Phase::Head,
            schedule_numbers: BTreeSet::new(),
            checksum: Xxh64::new(0),
            cut: Vec::new(),
            needed: 0,
            failed: None,
        }
    }

    /// Takes the next piece of the content.
    ///
    /// # Errors
    ///
    /// When the content is bad. Nothing is decoded any more then, and every
    /// further call gives the same error.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), SnapshotError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.take(piece).map_err(|fault| {
            let error = SnapshotError { place: self.place(), fault };
            self.failed = Some(error.clone());
            error
        })
    }

    /// The state, when all of the content was there.
    ///
    /// # Errors
    ///
    /// When some is missing, or was bad.
    pub fn finish(self) -> Result<CommittedState, SnapshotError> {
        match (&self.failed, &self.phase) {
            (Some(error), _) => Err(error.clone()),
            (None, Phase::Done) => Ok(self.state),
            (None, _) => Err(SnapshotError { place: self.place(), fault: SnapshotFault::Missing }),
        }
    }

    /// As [`finish`](Self::finish), of the snapshot that stands before commit
    /// `position` in its log.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish), and when it is another state.
    pub fn finish_at(self, position: TxOffset) -> Result<CommittedState, SnapshotError> {
        let state = self.finish()?;
        match state.next_offset() {
            found if found == position => Ok(state),
            found => Err(SnapshotError {
                place: SnapshotPlace::Head,
                fault: SnapshotFault::Position { found },
            }),
        }
    }

    fn take(&mut self, mut piece: &[u8]) -> Result<(), SnapshotFault> {
        // An item that is cut gets what it is known to need, and no more.
        while !self.cut.is_empty() && !piece.is_empty() {
            let missing = self.needed.saturating_sub(self.cut.len());
            let (head, rest) = piece.split_at_checked(missing).unwrap_or((piece, &[]));
            self.cut.extend_from_slice(head);
            piece = rest;
            if self.cut.len() < self.needed {
                return Ok(());
            }
            let mut cut = core::mem::take(&mut self.cut);
            match self.items(&cut) {
                Ok(_) => cut.clear(),
                Err(Stop::Needs(needed)) => self.needed = needed,
                Err(Stop::Fault(fault)) => return Err(fault),
            }
            self.cut = cut;
        }
        while !piece.is_empty() {
            match self.items(piece) {
                Ok(len) => piece = piece.get(len..).unwrap_or_default(),
                Err(Stop::Needs(needed)) => {
                    self.needed = needed;
                    self.cut.extend_from_slice(piece);
                    break;
                }
                Err(Stop::Fault(fault)) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Decodes the item at the beginning of `bytes`; of rows, all that are
    /// there. Returns its length. When it stops, nothing has happened.
    fn items(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let mut item = Item { reader: Reader::new(bytes), end: bytes.len() };
        match &mut self.phase {
            Phase::Head => self.head(&mut item)?,
            Phase::ModuleCount => {
                let left = item.u32()?;
                self.phase = Phase::Modules { left };
            }
            Phase::Modules { left } => {
                let left = *left - 1;
                self.module(&mut item)?;
                self.phase = Phase::Modules { left };
            }
            Phase::TableCount => {
                let left = item.u32()?;
                self.phase = Phase::Tables { left };
            }
            Phase::Tables { left } => {
                let left = *left - 1;
                self.phase = self.table(&mut item, left)?;
            }
            Phase::Rows { table, left, .. } => rows(&mut item, table, left)?,
            Phase::QueueCount => {
                let left = item.u64()?;
                self.phase = Phase::Queue { left };
            }
            Phase::Queue { left } => {
                let left = *left - 1;
                self.subscription(&mut item)?;
                self.phase = Phase::Queue { left };
            }
            Phase::ScheduleCount => {
                let left = item.u64()?;
                self.phase = Phase::Schedule { left };
            }
            Phase::Schedule { left } => {
                let left = *left - 1;
                self.scheduled(&mut item)?;
                self.phase = Phase::Schedule { left };
            }
            Phase::End => self.end(&mut item)?,
            Phase::Done => return Err(SnapshotFault::TrailingBytes.into()),
        }
        let len = item.reader.position();
        self.checksum.update(bytes.get(..len).unwrap_or_default());
        self.end_lists()?;
        Ok(len)
    }

    /// Goes on behind lists of which nothing is left.
    fn end_lists(&mut self) -> Result<(), SnapshotFault> {
        if let Phase::Rows { left: 0, tables_left, .. } = self.phase {
            let left = tables_left;
            let rows = core::mem::replace(&mut self.phase, Phase::Tables { left });
            if let Phase::Rows { table, .. } = rows {
                self.count(table.state_hash());
                self.state.tables.push(*table);
            }
        }
        match self.phase {
            Phase::Modules { left: 0 } => self.phase = Phase::TableCount,
            Phase::Tables { left: 0 } => {
                self.resolve()?;
                self.phase = Phase::QueueCount;
            }
            Phase::Queue { left: 0 } => self.phase = Phase::ScheduleCount,
            Phase::Schedule { left: 0 } => self.phase = Phase::End,
            _ => {}
        }
        Ok(())
    }

    fn head(&mut self, item: &mut Item<'_>) -> Result<(), Stop> {
        let found = item.byte()?;
        if found != SNAPSHOT_VERSION {
            return Err(SnapshotFault::Version { found }.into());
        }
        let seed = item.fixed()?;
        let next_offset = item.fixed()?;
        let time = item.fixed()? as i64;
        let next_schedule = item.fixed()?;
        let limits = item.bytes(Limits::BYTES_MAX)?;
        if time < 0 {
            return Err(SnapshotFault::Time.into());
        }
        // What comes behind can be counted.
        if next_schedule.max(next_offset) > u64::MAX >> 1 {
            return Err(SnapshotFault::Number.into());
        }
        Limits::check(limits)?;
        self.state.record_limits(limits);
        self.state.seed = seed;
        self.state.next_offset = TxOffset(next_offset);
        self.state.time = Timestamp(time);
        self.state.next_schedule = next_schedule;
        self.phase = Phase::ModuleCount;
        Ok(())
    }

    fn module(&mut self, item: &mut Item<'_>) -> Result<(), Stop> {
        let content_hash: [u8; 32] = item.array()?;
        let wasm_len = item.u64()?;
        let schema = item.bytes(schema_limits::SECTION_LEN)?;
        let schema = ModuleSchema::decode(schema).map_err(refused_schema)?;
        if self.state.module(&schema.module).is_some() {
            return Err(SnapshotFault::DuplicateModule.into());
        }
        self.count(hash::module(&schema.module, &content_hash));
        self.state.modules.push(InstalledModule {
            id: ModuleId(self.state.modules.len() as u32),
            schema,
            content_hash,
            wasm_len,
            functions: Vec::new(),
            tables: Vec::new(),
        });
        Ok(())
    }

    fn table(&mut self, item: &mut Item<'_>, tables_left: u32) -> Result<Phase, Stop> {
        let owner = ModuleId(item.u32()?);
        let name = item.bytes(schema_limits::NAME_LEN)?;
        let next_number = item.fixed()?;
        let left = item.u64()?;
        let id = TableId(self.state.tables.len() as u32);
        let module = self.state.modules.get_mut(owner.0 as usize);
        let module = module.ok_or(SnapshotFault::UnknownTable)?;
        let mut defs = module.schema.tables.iter();
        let def = defs.find(|def| def.name.as_bytes() == name);
        let def = def.ok_or(SnapshotFault::UnknownTable)?;
        let name = NameId::of(&def.name);
        if module.table(name).is_some() {
            return Err(SnapshotFault::DuplicateTable.into());
        }
        let mut table = Table::new(id, owner, &module.schema, def).map_err(refused_schema)?;
        if !table.restore_number(next_number) {
            return Err(SnapshotFault::Number.into());
        }
        module.tables.push((name, id));
        Ok(Phase::Rows { table: Box::new(table), left, tables_left })
    }

    /// Works out what follows from the modules and their tables, as an
    /// installation does.
    fn resolve(&mut self) -> Result<(), SnapshotFault> {
        let mut modules = core::mem::take(&mut self.state.modules);
        for module in &mut modules {
            let mut tables = Vec::new();
            for def in &module.schema.tables {
                let name = NameId::of(&def.name);
                let Some(id) = module.table(name) else {
                    let table = format!("{}.{}", module.name(), def.name);
                    return Err(SnapshotFault::MissingTable { table });
                };
                tables.push((name, id));
            }
            module.functions =
                resolve_functions(&module.schema, &tables).map_err(refused_schema)?;
            module.tables = tables;
        }
        resolve_calls(&mut modules).map_err(refused)?;
        self.state.check_triggers(&modules, &[]).map_err(refused)?;
        let routes = Routes::collect(&modules, self.state.tables.len());
        if let Some(path) = find_cycle(&modules, &routes) {
            return Err(refused(Refused::Cycle { path }));
        }
        self.state.modules = modules;
        self.state.routes = routes;
        Ok(())
    }

    fn subscription(&mut self, item: &mut Item<'_>) -> Result<(), Stop> {
        let trigger = TxOffset(item.u64()?);
        let change = item.u32()?;
        let target = item.function()?;
        let depth = item.u32()?;
        let args = item.bytes(ARGS_BYTES_MAX)?;
        let function = self.reducer(target).filter(|function| function.is_triggered());
        let function = function.ok_or(SnapshotFault::UnknownReducer)?;
        let args = checked(&function.args, args)?;
        if trigger >= self.state.next_offset || depth == 0 {
            return Err(SnapshotFault::Number.into());
        }
        let last = self.state.queue.back().map(|last| (last.trigger, last.change));
        if last.is_some_and(|last| last > (trigger, change)) {
            return Err(SnapshotFault::Order.into());
        }
        let pending = Pending { trigger, change, target, depth, args };
        self.count(pending.hash());
        self.state.waiting_bytes += pending.args.len() as u64;
        self.state.queue.push_back(pending);
        Ok(())
    }

    fn scheduled(&mut self, item: &mut Item<'_>) -> Result<(), Stop> {
        let at = Timestamp(item.fixed()? as i64);
        let number = item.u64()?;
        let target = item.function()?;
        let args = item.bytes(VALUE_BYTES_MAX)?;
        let function = self.reducer(target).filter(|function| !function.is_triggered());
        let function = function.ok_or(SnapshotFault::UnknownReducer)?;
        let args = checked(&function.args, args)?;
        if at.0 < 0 {
            return Err(SnapshotFault::Time.into());
        }
        let last = self.state.schedule.last_key_value();
        if last.is_some_and(|(last, _)| *last >= (at, number)) {
            return Err(SnapshotFault::Order.into());
        }
        if number >= self.state.next_schedule || !self.schedule_numbers.insert(number) {
            return Err(SnapshotFault::Number.into());
        }
        self.count(self.state.scheduled_hash(number, at, target, &args));
        self.state.waiting_bytes += args.len() as u64;
        self.state.schedule.insert((at, number), Scheduled { target, args });
        Ok(())
    }

    fn end(&mut self, item: &mut Item<'_>) -> Result<(), Stop> {
        let recorded = item.fixed()?;
        let checksum = item.fixed()?;
        let mut content = self.checksum.clone();
        content.update(&recorded.to_le_bytes());
        if checksum != content.digest() {
            return Err(SnapshotFault::Checksum.into());
        }
        let computed = self.state.hash;
        if recorded != computed {
            return Err(SnapshotFault::StateHash { recorded, computed }.into());
        }
        self.schedule_numbers.clear();
        self.phase = Phase::Done;
        Ok(())
    }

    fn reducer(&self, target: FunctionRef) -> Option<&Function> {
        self.state.function(target).filter(|function| function.kind == FunctionKind::Reducer)
    }

    /// Counts an element of the state in its hash.
    fn count(&mut self, hash: u64) {
        self.state.hash = self.state.hash.wrapping_add(hash);
    }

    /// Where the item is that is next.
    fn place(&self) -> SnapshotPlace {
        match &self.phase {
            Phase::Head | Phase::ModuleCount | Phase::TableCount => SnapshotPlace::Head,
            Phase::Modules { .. } => SnapshotPlace::Module(self.state.modules.len() as u32),
            Phase::Tables { left: 0 } => SnapshotPlace::Modules,
            Phase::Tables { .. } => SnapshotPlace::Table(self.state.tables.len() as u32),
            Phase::Rows { table, .. } => {
                SnapshotPlace::Row { table: qualified(table), row: table.len() as u64 }
            }
            Phase::QueueCount | Phase::Queue { .. } => {
                SnapshotPlace::Subscription(self.state.queue.len() as u64)
            }
            Phase::ScheduleCount | Phase::Schedule { .. } => {
                SnapshotPlace::Schedule(self.state.schedule.len() as u64)
            }
            Phase::End | Phase::Done => SnapshotPlace::End,
        }
    }
}

/// Decodes rows up to the end of the bytes or of the table.
fn rows(item: &mut Item<'_>, table: &mut Table, left: &mut u64) -> Result<(), Stop> {
    let mut taken = item.reader.clone();
    let first = *left;
    let mut copy = Vec::new();
    while *left > 0 {
        let row = match item.bytes(VALUE_BYTES_MAX) {
            Ok(row) => row,
            // The rows before it are taken.
            Err(Stop::Needs(_)) if *left < first => break,
            Err(stop) => return Err(stop),
        };
        check(table.layout(), row, &mut copy)?;
        table.restore_row(row).map_err(|misplaced| match misplaced {
            Misplaced::Key => SnapshotFault::Order,
            Misplaced::Number => SnapshotFault::Number,
        })?;
        *left -= 1;
        taken = item.reader.clone();
    }
    item.reader = taken;
    Ok(())
}

/// A copy of `bytes`, which must be the one encoding of a value.
fn checked(layout: &Layout, bytes: &[u8]) -> Result<Box<[u8]>, SnapshotFault> {
    let mut value = Vec::new();
    check(layout, bytes, &mut value)?;
    Ok(value.into_boxed_slice())
}

/// Checks that `bytes` are the one encoding of a value, in a copy of them.
#[inline]
fn check(layout: &Layout, bytes: &[u8], copy: &mut Vec<u8>) -> Result<(), SnapshotFault> {
    copy.clear();
    copy.extend_from_slice(bytes);
    layout.check(copy).map_err(SnapshotFault::Value)?;
    // The check mends NaNs.
    if *copy == bytes { Ok(()) } else { Err(SnapshotFault::NotCanonical) }
}

fn qualified(table: &Table) -> String {
    format!("{}.{}", table.module_name(), table.name())
}

fn refused_schema(error: SchemaError) -> SnapshotFault {
    refused(Refused::Schema(error))
}

fn refused(why: Refused) -> SnapshotFault {
    SnapshotFault::Install(Arc::new(InstallRefusal { module: String::new(), why }))
}

/// An item that is being decoded, perhaps out of too few bytes.
struct Item<'a> {
    reader: Reader<'a>,
    /// Bytes that are there.
    end: usize,
}

impl<'a> Item<'a> {
    /// Stops at a decoding fault; at the end of the bytes, until there are more.
    #[inline]
    fn stop<T>(&self, read: Result<T, abi::bytes::DecodeError>) -> Result<T, Stop> {
        read.map_err(|error| match error.fault {
            DecodeFault::UnexpectedEnd => Stop::Needs(self.end + 1),
            fault => Stop::Fault(SnapshotFault::Decode(fault)),
        })
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let read = self.reader.byte();
        self.stop(read)
    }

    #[inline]
    fn u64(&mut self) -> Result<u64, Stop> {
        let read = self.reader.varint_u64();
        self.stop(read)
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        let read = self.reader.varint_u32();
        self.stop(read)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let needed = self.reader.position() + N;
        self.reader.array().map_err(|_| Stop::Needs(needed))
    }

    /// A number of fixed width.
    fn fixed(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_le_bytes)
    }

    fn function(&mut self) -> Result<FunctionRef, Stop> {
        Ok(FunctionRef { module: ModuleId(self.u32()?), index: self.u32()? })
    }

    /// Bytes behind their length, which is at most `limit`.
    #[inline]
    fn bytes(&mut self, limit: usize) -> Result<&'a [u8], Stop> {
        let len = self.u64()?;
        let len = usize::try_from(len).ok().filter(|len| *len <= limit);
        let Some(len) = len else {
            return Err(Stop::Fault(SnapshotFault::Decode(DecodeFault::TooLarge)));
        };
        let needed = self.reader.position() + len;
        self.reader.take(len).map_err(|_| Stop::Needs(needed))
    }
}
