//! Instances: running a function of a module, hermetically.
//!
//! Invariants:
//! - before every call, memory and globals are what they were right after
//!   instantiation; an instance that trapped or whose memory grew is dropped;
//! - while a guest runs, its store owns the [`World`]; before and after, the
//!   runtime does. It is moved as one pointer.

use alloc::{borrow::ToOwned, boxed::Box, format, vec::Vec};

use wasmi::{
    Engine, Extern, Global, Memory, Mutability, ResourceLimiter, Store, StoreLimits,
    StoreLimitsBuilder, TypedFunc, Val,
    errors::{MemoryError, TableError},
};
use wasmi_core::LimiterError;

use super::{Code, engine_text};
use crate::{
    error::Failure, host_calls, ids::FunctionRef, limits::Limits, state::FunctionKind, world::World,
};
use interstice_abi::host_calls::{MEMORY_EXPORT, MODULE, QUERY_PREFIX, REDUCER_PREFIX};

/// What a store carries: the world while a guest runs, and its limits always.
pub(crate) struct StoreData {
    pub(crate) world: Option<Box<World>>,
    limits: GuestLimits,
}

/// What a guest may have. A host that has no more memory stops the guest, which
/// must not see what it would not see elsewhere.
struct GuestLimits(StoreLimits);

impl ResourceLimiter for GuestLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        self.0.memory_growing(current, desired, maximum)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        self.0.table_growing(current, desired, maximum)
    }

    fn memory_grow_failed(&mut self, error: &MemoryError) -> Result<(), LimiterError> {
        match error {
            MemoryError::OutOfSystemMemory => Err(LimiterError::ResourceLimiterDeniedAllocation),
            _ => Ok(()),
        }
    }

    fn table_grow_failed(&mut self, error: &TableError) -> Result<(), LimiterError> {
        match error {
            TableError::OutOfSystemMemory => Err(LimiterError::ResourceLimiterDeniedAllocation),
            _ => Ok(()),
        }
    }

    fn instances(&self) -> usize {
        self.0.instances()
    }

    fn tables(&self) -> usize {
        self.0.tables()
    }

    fn memories(&self) -> usize {
        self.0.memories()
    }
}

/// The code of a module, and an instance of it that is ready or can be made.
pub(crate) struct Slot {
    pub(crate) code: Code,
    /// Taken out while it runs.
    instance: Option<Box<Instance>>,
    running: bool,
}

impl Slot {
    pub(crate) fn new(code: Code) -> Self {
        Self { code, instance: None, running: false }
    }
}

pub(crate) struct Instance {
    store: Store<StoreData>,
    memory: Memory,
    image: Image,
    globals: Vec<(Global, Val)>,
    /// In the order of the module's functions; `None` only if the file lies
    /// about its exports, which loading has refused.
    functions: Vec<Option<TypedFunc<i32, ()>>>,
    clean: bool,
}

/// The bytes of a memory that are not zero.
struct Image {
    len: usize,
    runs: Vec<(usize, Box<[u8]>)>,
}

impl Image {
    /// Zeros between two runs that are cheaper to store than another run.
    const GAP_MAX: usize = 16;

    fn of(memory: &[u8]) -> Self {
        let mut runs = Vec::new();
        let mut at = 0;
        while let Some(start) = memory[at..].iter().position(|&byte| byte != 0) {
            let start = at + start;
            let mut end = start + 1;
            let mut ahead = end;
            while ahead < memory.len() && ahead - end < Self::GAP_MAX {
                ahead += 1;
                if memory[ahead - 1] != 0 {
                    end = ahead;
                }
            }
            runs.push((start, memory[start..end].into()));
            at = end;
        }
        Self { len: memory.len(), runs }
    }

    /// Writes the image into a memory of its length.
    fn restore(&self, memory: &mut [u8]) {
        let mut zeros_from = 0;
        for (start, bytes) in &self.runs {
            memory[zeros_from..*start].fill(0);
            zeros_from = start + bytes.len();
            memory[*start..zeros_from].copy_from_slice(bytes);
        }
        memory[zeros_from..].fill(0);
    }
}

/// Instantiates a module, which runs nothing of it: start functions are refused.
pub(super) fn instantiate(
    engine: &Engine,
    code: &wasmi::Module,
    limits: &Limits,
) -> Result<(Store<StoreData>, wasmi::Instance), wasmi::Error> {
    let limiter = StoreLimitsBuilder::new()
        .memory_size(limits.guest_memory_bytes)
        .table_elements(limits.guest_table_elements)
        .instances(1)
        .memories(1)
        .tables(1)
        .build();
    let limits = GuestLimits(limiter);
    let mut store = Store::new(engine, StoreData { world: None, limits });
    store.limiter(|data| &mut data.limits);
    // Instantiation is not charged to a call.
    store.set_fuel(u64::MAX)?;
    let mut imports = Vec::new();
    for import in code.imports() {
        let host_call = match import.module() {
            MODULE => host_calls::import(&mut store, import.name()),
            _ => None,
        };
        let (module, name) = (import.module(), import.name());
        let unknown = || wasmi::Error::new(format!("there is no `{module}.{name}` to import"));
        imports.push(Extern::Func(host_call.ok_or_else(unknown)?));
    }
    let instance = wasmi::Instance::new(&mut store, code, &imports)?;
    Ok((store, instance))
}

impl Instance {
    // Most calls do not come here, and should not pay for its stack.
    #[inline(never)]
    fn new(
        engine: &Engine,
        code: &wasmi::Module,
        functions: &[crate::state::Function],
        limits: &Limits,
    ) -> Result<Box<Self>, Failure> {
        // Loading has instantiated the module once: what fails now is the host's.
        let (store, instance) = instantiate(engine, code, limits)
            .map_err(|error| Failure::Host { reason: engine_text(&error) })?;
        let memory = instance
            .get_memory(&store, MEMORY_EXPORT)
            .ok_or_else(|| Failure::Host { reason: "the instance has no memory".to_owned() })?;
        let image = Image::of(memory.data(&store));
        let globals: Vec<Global> =
            instance.exports(&store).filter_map(|export| export.into_global()).collect();
        let globals = globals
            .into_iter()
            .filter(|global| global.ty(&store).mutability() == Mutability::Var)
            .map(|global| (global, global.get(&store)))
            .collect();
        let functions = functions
            .iter()
            .map(|function| {
                let prefix = match function.kind() {
                    FunctionKind::Reducer => REDUCER_PREFIX,
                    FunctionKind::Query => QUERY_PREFIX,
                };
                let name = format!("{prefix}{}", function.name());
                instance.get_typed_func(&store, &name).ok()
            })
            .collect();
        Ok(Box::new(Self { store, memory, image, globals, functions, clean: true }))
    }

    fn has_grown(&self) -> bool {
        self.memory.data_size(&self.store) != self.image.len
    }

    /// Puts memory and globals back; `None` where that is not possible.
    fn reset(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.clean {
            return Some(self);
        }
        self.image.restore(self.memory.data_mut(&mut self.store));
        for (global, value) in &self.globals {
            global.set(&mut self.store, value.clone()).ok()?;
        }
        self.clean = true;
        Some(self)
    }

    /// Runs a function in `world`, with the arguments and the fuel that are in it.
    fn call(&mut self, mut world: Box<World>, index: u32) -> (Box<World>, Result<(), Failure>) {
        let Some(Some(function)) = self.functions.get(index as usize).copied() else {
            return (world, Err(Failure::CodeMissing));
        };
        let args_len = world.enter(self.memory);
        let limit = world.state.limits().fuel_per_call;
        let fueled = self.store.set_fuel(world.fuel);
        self.store.data_mut().world = Some(world);
        self.clean = false;
        let outcome = match fueled {
            Ok(()) => function.call(&mut self.store, args_len),
            Err(error) => Err(error),
        };
        // Host calls that take the world out put it back before they return.
        let Some(mut world) = self.store.data_mut().world.take() else {
            unreachable!("a guest returned without its world");
        };
        world.fuel = self.store.get_fuel().unwrap_or(0);
        let outcome = outcome.map_err(|error| match world.stopped.take() {
            Some(failure) => failure,
            None => trap(&error, limit),
        });
        (world, outcome)
    }
}

fn trap(error: &wasmi::Error, fuel_limit: u64) -> Failure {
    match error.as_trap_code() {
        Some(wasmi::TrapCode::OutOfFuel) => Failure::OutOfFuel { limit: fuel_limit },
        Some(wasmi::TrapCode::UnreachableCodeReached) => {
            Failure::Trap { reason: "it stopped at an `unreachable` instruction".to_owned() }
        }
        // What is denied by a limit only, the guest is told.
        Some(wasmi::TrapCode::OutOfSystemMemory | wasmi::TrapCode::GrowthOperationLimited) => {
            Failure::Host { reason: "there is no more memory".to_owned() }
        }
        Some(code) => Failure::Trap { reason: format!("it trapped: {code}") },
        // Of a module that is valid, and that was translated when it was installed.
        None => Failure::Host { reason: engine_text(error) },
    }
}

/// Runs `target` in `world`, in the frame that was pushed for it.
///
/// # Errors
///
/// Why it stopped. A typed error that the function returned is not one: it is
/// in the frame.
pub(crate) fn run(mut world: Box<World>, target: FunctionRef) -> (Box<World>, Result<(), Failure>) {
    let mut instance = match take_instance(&mut world, target) {
        Ok(instance) => instance,
        Err(failure) => {
            world.failed_at.get_or_insert(target);
            return (world, Err(failure));
        }
    };
    let (mut world, outcome) = instance.call(world, target.index);
    if outcome.is_err() {
        world.failed_at.get_or_insert(target);
    }
    if let Some(Some(slot)) = world.slots.get_mut(target.module.0 as usize) {
        slot.running = false;
        // After a trap the guest's stack is anywhere, and a memory that grew
        // does not shrink: then the next call instantiates anew.
        slot.instance = (outcome.is_ok() && !instance.has_grown()).then_some(instance);
    }
    (world, outcome)
}

fn take_instance(world: &mut World, target: FunctionRef) -> Result<Box<Instance>, Failure> {
    let World { slots, state, engine, .. } = world;
    let module = state.module_by_id(target.module).ok_or_else(|| Failure::CodeMissing)?;
    let Some(Some(slot)) = slots.get_mut(target.module.0 as usize) else {
        return Err(Failure::CodeMissing);
    };
    if slot.running {
        let module = module.name().to_owned();
        return Err(Failure::Rule(crate::error::Rule::Reentrant { module }));
    }
    let instance = match slot.instance.take().and_then(Instance::reset) {
        Some(instance) => instance,
        None => {
            let (code, functions) = (&slot.code.module, module.functions());
            Instance::new(engine, code, functions, state.limits())?
        }
    };
    slot.running = true;
    Ok(instance)
}
