//! The runtime: calls in, commits out.
//!
//! The whole path of a call is [`Runtime::call`], [`commit_next`] and what
//! they name: execute, append, apply, then whatever the changes have queued.
//!
//! Invariants:
//! - nothing is applied before it is appended;
//! - a call that fails, or cannot be appended, leaves no trace;
//! - after a failed append the runtime commits nothing until it is made anew
//!   from the log: what the storage kept is not known.
//!
//! [`commit_next`]: Runtime::commit_next

use alloc::{borrow::ToOwned, boxed::Box, format, string::String, vec::Vec};
use core::fmt;

use crate::{
    error::Failure,
    executor::{Executor, Failed},
    ids::{FunctionRef, Inputs, TableId, TxOffset},
    log::Log,
    module::LoadError,
    state::{
        CommittedState, Function, FunctionKind, InstallRefusal, InstalledModule, Refused, Trigger,
    },
    watch::{CommittedChange, Watch},
    world::{Args, GuestLog},
};

/// Modules, their tables, and the log that they are made from.
pub struct Runtime<L: Log> {
    executor: Executor,
    log: L,
    watch: Watch,
    /// An append or sync has failed.
    poisoned: bool,
}

/// A call that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// Its commit.
    pub offset: TxOffset,
    /// The fuel it used.
    pub fuel: u64,
    /// Its result, in row layout; empty when it has none.
    pub result: Vec<u8>,
    /// The subscriptions that ran behind it and failed. Their records say so.
    pub failures: Vec<SubscriptionFailure>,
}

/// A query's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The fuel it used.
    pub fuel: u64,
    /// Its result, in row layout; empty when it has none.
    pub result: Vec<u8>,
}

/// A triggered call that ran and was rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionFailure {
    /// Its record.
    pub offset: TxOffset,
    /// The reducer.
    pub function: FunctionRef,
    /// The code of the failure: [`Failure::code`].
    pub code: u8,
    /// Why, in words.
    pub reason: String,
}

/// A module that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its commit; `None` when exactly this file was installed already.
    pub offset: Option<TxOffset>,
    /// Its name.
    pub module: String,
    /// Whether it replaced an earlier version of itself.
    pub upgraded: bool,
    /// Subscriptions (`init`, `load`) that ran behind it and failed.
    pub failures: Vec<SubscriptionFailure>,
}

/// Why a call has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError<E> {
    /// What was called, as `module.function`; where a function further in has
    /// failed, that one.
    pub function: String,
    /// Why.
    pub kind: CallErrorKind<E>,
}

/// The reason why a call has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallErrorKind<E> {
    /// No module of this name is installed.
    UnknownModule,
    /// The module has no such reducer or query. The names it has are listed.
    UnknownFunction {
        /// The names of its reducers or queries.
        known: Vec<String>,
    },
    /// The reducer is run by a trigger and cannot be called.
    Triggered,
    /// It ran, and was rolled back.
    Failed(Box<Failure>),
    /// It is committed, but a subscription behind it could not run. The rest
    /// of the chain waits.
    Behind {
        /// The commit of the call.
        offset: TxOffset,
        /// What went wrong behind it.
        cause: Box<CallError<E>>,
    },
    /// Its commit could not be appended; it was rolled back.
    Log(E),
    /// An earlier append or sync failed.
    Poisoned,
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: ", self.function)?;
        match &self.kind {
            CallErrorKind::UnknownModule => f.write_str("no such module is installed"),
            CallErrorKind::UnknownFunction { known } if known.is_empty() => {
                f.write_str("the module has none of this kind")
            }
            CallErrorKind::UnknownFunction { known } => {
                write!(f, "not found; the module has {}", known.join(", "))
            }
            CallErrorKind::Triggered => {
                f.write_str("it runs when its trigger fires, and cannot be called")
            }
            CallErrorKind::Failed(failure) => failure.fmt(f),
            CallErrorKind::Behind { offset, cause } => {
                write!(f, "it is commit {offset}, but behind it {cause}")
            }
            CallErrorKind::Log(error) => write!(f, "the log did not take the commit: {error}"),
            CallErrorKind::Poisoned => {
                f.write_str("an earlier write to the log failed; open the log again")
            }
        }
    }
}

impl<E: core::error::Error> core::error::Error for CallError<E> {}

/// Why a module is not installed. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstallError<E> {
    /// The file is refused.
    Load(LoadError),
    /// The module does not fit what is installed.
    Refused(InstallRefusal),
    /// Subscriptions wait to run, and the oldest could not: nothing was installed.
    Waiting(CallError<E>),
    /// The module is installed, but what it runs at installation met an error.
    Lifecycle(CallError<E>),
    /// The commit could not be appended.
    Log(E),
    /// An earlier append or sync failed.
    Poisoned,
}

impl<E: fmt::Display> fmt::Display for InstallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Waiting(error) => write!(f, "a subscription waits to run first: {error}"),
            Self::Lifecycle(error) => write!(f, "the module is installed, but {error}"),
            Self::Log(error) => write!(f, "the log did not take the commit: {error}"),
            Self::Poisoned => f.write_str("an earlier write to the log failed; open the log again"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for InstallError<E> {}

/// Why a file does not become the code of an installed module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// The file is refused.
    Load(LoadError),
    /// The log, or the snapshot, says another schema of it than the file: one of them
    /// was not made by what it says.
    OtherSchema {
        /// The module.
        module: String,
    },
    /// No module with this content hash is installed.
    NotInstalled {
        /// The name in the file's schema.
        module: String,
    },
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::OtherSchema { module } => {
                write!(f, "module `{module}` is recorded with another schema than its file has")
            }
            Self::NotInstalled { module } => {
                write!(f, "this file of module `{module}` is not the one that is installed")
            }
        }
    }
}

impl core::error::Error for AttachError {}

impl<L: Log> Runtime<L> {
    /// Continues `state`, which was replayed from `log`. Modules need their
    /// code before they can be called: see [`attach`](Self::attach).
    pub fn new(state: CommittedState, log: L) -> Self {
        Self { executor: Executor::new(state), log, watch: Watch::default(), poisoned: false }
    }

    /// The committed state.
    pub fn state(&self) -> &CommittedState {
        self.executor.state()
    }

    /// The log.
    pub fn log(&self) -> &L {
        &self.log
    }

    /// The log, for settings of its own. Appending to it behind the runtime's
    /// back breaks it.
    pub fn log_mut(&mut self) -> &mut L {
        &mut self.log
    }

    /// The committed state and the log, for storages that take snapshots.
    pub fn state_and_log(&mut self) -> (&CommittedState, &mut L) {
        (self.executor.state(), &mut self.log)
    }

    /// Takes the lines that guests write from now on.
    pub fn set_guest_log(&mut self, log: GuestLog) {
        self.executor.world_mut().guest_log = Some(log);
    }

    /// Keeps every change of this table that is committed from now on, by
    /// whatever call, until [`take_changes`](Self::take_changes) takes it.
    ///
    /// Only changes of watched tables cost anything. What is kept has no bound
    /// but the caller's diligence: take it after every call, or as often as
    /// the memory asks for.
    ///
    /// A table that does not exist yet is watched once it does.
    pub fn watch(&mut self, table: TableId) {
        self.watch.add(table);
    }

    /// Ends the watching of a table. Changes that are kept already stay.
    pub fn unwatch(&mut self, table: TableId) {
        self.watch.remove(table);
    }

    /// The changes of watched tables since they were last taken, in the order
    /// of commits and, within one, in the order of the log.
    ///
    /// They are appended and applied; they survive a crash when
    /// [`sync`](Self::sync) has returned. A host that passes them on syncs
    /// first.
    pub fn take_changes(&mut self) -> Vec<CommittedChange> {
        self.watch.take()
    }

    /// Takes the module file with this [content hash](crate::LoadedModule::content_hash)
    /// for valid: it can be attached and installed then also where the library was
    /// built without the feature `validate`. Where it was built with it, the file is
    /// validated all the same.
    ///
    /// # Safety
    ///
    /// [`LoadedModule::new`](crate::LoadedModule::new) of this version of the library,
    /// built with `validate`, has to load the file. A build script can see to that,
    /// and hand the hash on. What the engine does with a module that is not valid is
    /// not defined.
    #[allow(unsafe_code)]
    pub unsafe fn trust(&mut self, content_hash: [u8; 32]) {
        // SAFETY: the caller has promised it.
        unsafe { self.executor.world_mut().trusted.add(content_hash) };
    }

    /// Gives an installed module its code. The file is found to be the right
    /// one by its content.
    ///
    /// # Errors
    ///
    /// When the file is refused or is not installed.
    pub fn attach(&mut self, wasm: &[u8]) -> Result<(), AttachError> {
        self.executor.attach_installed(wasm)
    }

    /// Installs a module, or upgrades it, and runs its `init` and `load`
    /// reducers.
    ///
    /// # Errors
    ///
    /// With the reason; nothing has changed then, except for
    /// [`InstallError::Lifecycle`].
    #[inline(never)]
    pub fn install(
        &mut self,
        wasm: &[u8],
        inputs: Inputs,
    ) -> Result<Installed, InstallError<L::Error>> {
        let mut failures = Vec::new();
        self.drain_into(inputs, &mut failures).map_err(InstallError::Waiting)?;
        let loaded = self.executor.load_to_install(wasm).map_err(InstallError::Load)?;
        let module = loaded.schema().module.clone();
        let previous = self.state().module(&module);
        let upgraded = previous.is_some();
        if let Some(previous) = previous
            && previous.content_hash() == loaded.content_hash()
        {
            let index = previous.id().0 as usize;
            if !self.executor.records(index, &loaded) {
                let why = Refused::OtherSchema;
                return Err(InstallError::Refused(InstallRefusal { module, why }));
            }
            self.executor.attach(index, loaded.code);
            return Ok(Installed { offset: None, module, upgraded: false, failures });
        }
        let limit = self.state().limits().modules;
        if !upgraded && self.state().modules().len() >= limit {
            let why = Refused::TooManyModules { limit };
            return Err(InstallError::Refused(InstallRefusal { module, why }));
        }
        let plan = self
            .state()
            .plan_install(loaded.schema.clone(), &loaded.content_hash, loaded.wasm_len)
            .map_err(InstallError::Refused)?;
        let time = self.state().time().max(inputs.time);
        let offset = self.state().next_offset();
        self.executor.encode_install(&loaded, &plan, time);
        self.append().map_err(|error| error.map_or(InstallError::Poisoned, InstallError::Log))?;
        let index = plan.id.0 as usize;
        let state = &mut self.executor.world_mut().state;
        state.apply_install(plan, time);
        state.limits_are_recorded();
        self.executor.attach(index, loaded.code);
        self.drain_into(inputs, &mut failures).map_err(InstallError::Lifecycle)?;
        Ok(Installed { offset: Some(offset), module, upgraded, failures })
    }

    /// The reducer `name` of `module`, to be called.
    ///
    /// # Errors
    ///
    /// When there is none, or it only runs by its trigger.
    pub fn reducer(&self, module: &str, name: &str) -> Result<FunctionRef, CallError<L::Error>> {
        self.find(module, name, FunctionKind::Reducer)
    }

    /// The query `name` of `module`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn query_ref(&self, module: &str, name: &str) -> Result<FunctionRef, CallError<L::Error>> {
        self.find(module, name, FunctionKind::Query)
    }

    /// Calls a reducer, and runs the subscriptions that its changes queue, in
    /// order, each as a transaction of its own. `args` are in row layout.
    ///
    /// The commits are appended, not synced: they survive a crash when
    /// [`sync`](Self::sync) has returned.
    ///
    /// # Errors
    ///
    /// When the call was rolled back, it has left no trace.
    /// [`CallErrorKind::Behind`] says that it was not, but that a subscription
    /// behind it could not run: do not call again, mend the cause and
    /// [`drain`](Self::drain).
    pub fn call(
        &mut self,
        reducer: FunctionRef,
        args: &[u8],
        inputs: Inputs,
    ) -> Result<Called, CallError<L::Error>> {
        let mut failures = Vec::new();
        self.drain_into(inputs, &mut failures)?;
        self.check_call(reducer, FunctionKind::Reducer)?;
        let offset = self.state().next_offset();
        let fuel = self.commit_next(reducer, Args::Given(args), inputs)?;
        let result = self.executor.result().to_vec();
        match self.drain_into(inputs, &mut failures) {
            Ok(()) => Ok(Called { offset, fuel, result, failures }),
            Err(cause) => {
                let kind = CallErrorKind::Behind { offset, cause: Box::new(cause) };
                Err(self.error(reducer, kind))
            }
        }
    }

    /// Asks a query. `args` are in row layout.
    ///
    /// # Errors
    ///
    /// When the query fails. Queries leave no trace either way.
    pub fn query(
        &mut self,
        query: FunctionRef,
        args: &[u8],
        inputs: Inputs,
    ) -> Result<Answer, CallError<L::Error>> {
        self.check_call(query, FunctionKind::Query)?;
        match self.executor.query(query, args, inputs) {
            Ok(fuel) => Ok(Answer { fuel, result: self.executor.result().to_vec() }),
            Err(failed) => Err(self.failed(failed, query)),
        }
    }

    /// Runs the subscriptions that still wait: after a crash in the middle of
    /// a chain, the rest of it. Returns those that failed.
    ///
    /// # Errors
    ///
    /// When a module's code is missing, or the log fails. What waits goes on
    /// waiting.
    pub fn drain(
        &mut self,
        inputs: Inputs,
    ) -> Result<Vec<SubscriptionFailure>, CallError<L::Error>> {
        let mut failures = Vec::new();
        self.drain_into(inputs, &mut failures)?;
        Ok(failures)
    }

    /// Runs the scheduled calls that are due at `inputs.time`, or at the time of the
    /// newest commit where that is later, and what they queue. Returns those that
    /// failed.
    ///
    /// # Errors
    ///
    /// As [`drain`](Self::drain).
    pub fn run_due(
        &mut self,
        inputs: Inputs,
    ) -> Result<Vec<SubscriptionFailure>, CallError<L::Error>> {
        let mut failures = Vec::new();
        self.drain_into(inputs, &mut failures)?;
        // Calls that these schedule for the same time run at the next round.
        let due = self.state().due(inputs.time.max(self.state().time()));
        for _ in 0..due {
            self.run_waiting(Trigger::Schedule, inputs, &mut failures)?;
            self.drain_into(inputs, &mut failures)?;
        }
        Ok(failures)
    }

    /// Makes everything committed so far survive a crash.
    ///
    /// # Errors
    ///
    /// When the log fails; the runtime commits nothing from then on, and queries are
    /// answered from what was committed.
    pub fn sync(&mut self) -> Result<(), L::Error> {
        let synced = self.log.sync();
        self.poisoned |= synced.is_err();
        synced
    }

    /// Runs a call and commits it: execute, append, apply. Returns its fuel.
    fn commit_next(
        &mut self,
        target: FunctionRef,
        args: Args<'_>,
        inputs: Inputs,
    ) -> Result<u64, CallError<L::Error>> {
        if self.poisoned {
            return Err(self.error(target, CallErrorKind::Poisoned));
        }
        let execution = match self.executor.execute(target, args, inputs) {
            Ok(execution) => execution,
            Err(failed) => return Err(self.failed(failed, target)),
        };
        if let Err(error) = self.append() {
            let kind = error.map_or(CallErrorKind::Poisoned, CallErrorKind::Log);
            return Err(self.error(target, kind));
        }
        if !self.watch.is_idle() {
            let world = self.executor.world();
            self.watch.keep(&world.state, &world.transaction, execution.time);
        }
        self.executor.apply(&execution);
        Ok(execution.fuel)
    }

    /// Appends the encoded commit. `None`: the log has failed before.
    fn append(&mut self) -> Result<(), Option<L::Error>> {
        if self.poisoned {
            return Err(None);
        }
        let (state, commit) = (self.executor.state(), &self.executor.commit);
        self.log.prepare(state, commit.len()).map_err(Some)?;
        let appended = self.log.append(state.next_offset(), commit);
        self.poisoned |= appended.is_err();
        appended.map_err(Some)
    }

    /// Runs queued subscriptions until none waits.
    fn drain_into(
        &mut self,
        inputs: Inputs,
        failures: &mut Vec<SubscriptionFailure>,
    ) -> Result<(), CallError<L::Error>> {
        while self.state().pending() > 0 {
            self.run_waiting(Trigger::Subscription, inputs, failures)?;
        }
        Ok(())
    }

    fn run_waiting(
        &mut self,
        trigger: Trigger,
        inputs: Inputs,
        failures: &mut Vec<SubscriptionFailure>,
    ) -> Result<(), CallError<L::Error>> {
        let Some((target, _)) = self.state().next_target(trigger) else { return Ok(()) };
        let offset = self.state().next_offset();
        // The seed is the call's; what runs behind it has derived ones.
        let inputs = Inputs::at(inputs.time);
        self.commit_next(target, Args::Waiting(trigger), inputs)?;
        if let Some(failure) = &self.executor.failure {
            let (code, reason) = (failure.code(), format!("{failure}"));
            failures.push(SubscriptionFailure { offset, function: target, code, reason });
        }
        Ok(())
    }

    fn check_call(
        &self,
        target: FunctionRef,
        kind: FunctionKind,
    ) -> Result<(), CallError<L::Error>> {
        let Some(function) = self.state().function(target).filter(|f| f.kind() == kind) else {
            let kind = CallErrorKind::UnknownFunction { known: Vec::new() };
            return Err(self.error(target, kind));
        };
        if function.is_triggered() {
            return Err(self.error(target, CallErrorKind::Triggered));
        }
        Ok(())
    }

    fn find(
        &self,
        module: &str,
        name: &str,
        kind: FunctionKind,
    ) -> Result<FunctionRef, CallError<L::Error>> {
        let error = |kind| CallError { function: format!("{module}.{name}"), kind };
        let Some(found) = self.state().module(module) else {
            return Err(error(CallErrorKind::UnknownModule));
        };
        let target = found.function_named(name);
        let function = target.and_then(|target| self.state().function(target));
        match (target, function) {
            (Some(target), Some(function)) if function.kind() == kind => {
                if function.is_triggered() {
                    return Err(error(CallErrorKind::Triggered));
                }
                Ok(target)
            }
            _ => Err(error(CallErrorKind::UnknownFunction { known: callable(found, kind) })),
        }
    }

    fn failed(&self, failed: Failed, target: FunctionRef) -> CallError<L::Error> {
        self.error(failed.at.unwrap_or(target), CallErrorKind::Failed(Box::new(failed.failure)))
    }

    fn error(&self, target: FunctionRef, kind: CallErrorKind<L::Error>) -> CallError<L::Error> {
        let module = self.state().module_by_id(target.module).map_or("?", InstalledModule::name);
        let function = self.state().function(target).map_or("?", Function::name);
        CallError { function: format!("{module}.{function}"), kind }
    }
}

/// The names of the functions of a kind that can be called.
fn callable(module: &InstalledModule, kind: FunctionKind) -> Vec<String> {
    let functions = module.functions().iter();
    let functions = functions.filter(|f| f.kind() == kind && !f.is_triggered());
    functions.map(|function| function.name().to_owned()).collect()
}
