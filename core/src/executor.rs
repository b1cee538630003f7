//! From a call to the bytes of its commit, without a log.
//!
//! The runtime appends what comes out of here; re-execution compares it.
//!
//! ```text
//! begin -> run the guest -> check its outcome -> seal the transaction -> encode the commit
//! ```

use alloc::{boxed::Box, vec::Vec};

use interstice_abi::packed;

use crate::{
    AttachError,
    error::{Failure, Rule},
    ids::{FunctionRef, Inputs, Timestamp},
    log::commit::{Body, Commit, Origin, Outcome, Schedules},
    module::{Code, LoadError, LoadedModule, instance, instance::Slot},
    random::derived_seed,
    state::{CommittedState, Plan, Seal, Trigger},
    world::{Args, FrameOutcome, World},
};

/// Runs calls against a state, up to the commit.
pub(crate) struct Executor {
    /// `None` only while a call runs.
    world: Option<Box<World>>,
    seal: Seal,
    args: Vec<u8>,
    result: Vec<u8>,
    /// The encoded commit of the last execution.
    pub(crate) commit: Vec<u8>,
    /// Why the last execution failed, if its commit records that it did.
    pub(crate) failure: Option<Failure>,
}

/// A call that has run and is not committed yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Execution {
    trigger: Trigger,
    pub(crate) time: Timestamp,
    pub(crate) fuel: u64,
}

/// A call that failed, and in which function.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) at: Option<FunctionRef>,
    pub(crate) failure: Failure,
}

impl Executor {
    #[inline(never)]
    pub(crate) fn new(state: CommittedState) -> Self {
        Self {
            world: Some(Box::new(World::new(state))),
            seal: Seal::default(),
            args: Vec::new(),
            result: Vec::new(),
            commit: Vec::new(),
            failure: None,
        }
    }

    pub(crate) fn world(&self) -> &World {
        match &self.world {
            Some(world) => world,
            // `run` takes it and puts it back; guests cannot get here.
            None => unreachable!("the world is lent out while a call runs"),
        }
    }

    pub(crate) fn world_mut(&mut self) -> &mut World {
        match &mut self.world {
            Some(world) => world,
            None => unreachable!("the world is lent out while a call runs"),
        }
    }

    pub(crate) fn state(&self) -> &CommittedState {
        &self.world().state
    }

    /// Checks a module file with this executor's engine.
    pub(crate) fn load(&self, wasm: &[u8]) -> Result<LoadedModule, LoadError> {
        let World { engine, state, trusted, .. } = self.world();
        LoadedModule::load(engine, wasm, state.limits(), trusted)
    }

    /// Loads a module that is to be installed: all of it is translated once, so
    /// that no host installs what another one would refuse. One that is trusted
    /// was.
    #[inline(never)]
    pub(crate) fn load_to_install(&self, wasm: &[u8]) -> Result<LoadedModule, LoadError> {
        if cfg!(all(feature = "compact-engine", feature = "validate")) {
            LoadedModule::new(wasm, self.state().limits())?;
        }
        self.load(wasm)
    }

    /// Gives the installed module with this content its code.
    // What a start-up or an installation does is deep in stack; its stages give
    // theirs back.
    #[inline(never)]
    pub(crate) fn attach_installed(&mut self, wasm: &[u8]) -> Result<(), AttachError> {
        let loaded = self.load(wasm).map_err(AttachError::Load)?;
        let modules = self.state().modules().iter();
        let installed = modules.map(|module| module.content_hash());
        match installed.into_iter().position(|hash| *hash == loaded.content_hash) {
            Some(index) if self.records(index, &loaded) => {
                self.attach(index, loaded.code);
                Ok(())
            }
            Some(_) => Err(AttachError::OtherSchema { module: loaded.schema.module }),
            None => Err(AttachError::NotInstalled { module: loaded.schema.module }),
        }
    }

    /// Whether an installed module is recorded with the schema of this file.
    pub(crate) fn records(&self, index: usize, loaded: &LoadedModule) -> bool {
        let module = self.state().modules().get(index);
        module.is_some_and(|module| module.is_of(&loaded.schema))
    }

    /// Gives an installed module its code.
    pub(crate) fn attach(&mut self, index: usize, code: Code) {
        let slots = &mut self.world_mut().slots;
        if slots.len() <= index {
            slots.resize_with(index + 1, || None);
        }
        if let Some(slot) = slots.get_mut(index) {
            *slot = Some(Slot::new(code));
        }
    }

    /// Takes an installed module's code away.
    pub(crate) fn detach(&mut self, index: usize) {
        if let Some(slot) = self.world_mut().slots.get_mut(index) {
            *slot = None;
        }
    }

    /// Runs a reducer and encodes its commit. A call from outside that fails
    /// leaves nothing; one that answers to something else is encoded as failed.
    ///
    /// # Errors
    ///
    /// Why there is nothing to commit.
    pub(crate) fn execute(
        &mut self,
        target: FunctionRef,
        args: Args<'_>,
        inputs: Inputs,
    ) -> Result<Execution, Failed> {
        let trigger = args.trigger();
        self.failure = None;
        let time = self.state().time().max(inputs.time);
        let fuel_limit = self.state().limits().fuel_per_call;
        let outcome = match self.run(target, args, Inputs { time, ..inputs }) {
            Ok(FrameOutcome::Err) => Err(Failure::Error(self.result().to_vec())),
            Ok(_) => Ok(()),
            Err(failure) => Err(failure),
        };
        let fuel = fuel_limit - self.world().fuel;
        let execution = Execution { trigger, time, fuel };
        let outcome = outcome.and_then(|()| self.encode(&execution, target, inputs.seed, None));
        let Err(failure) = outcome else { return Ok(execution) };
        self.world_mut().transaction.clear();
        // What the host could not do is no outcome to record.
        if trigger == Trigger::Call || failure.code() == 0 {
            return Err(Failed { at: self.world().failed_at.or(Some(target)), failure });
        }
        self.encode(&execution, target, inputs.seed, Some(&failure))
            .map_err(|failure| Failed { at: Some(target), failure })?;
        self.failure = Some(failure);
        Ok(execution)
    }

    /// Runs a query. Its result is in [`result`](Self::result).
    pub(crate) fn query(
        &mut self,
        target: FunctionRef,
        args: &[u8],
        inputs: Inputs,
    ) -> Result<u64, Failed> {
        let time = self.state().time().max(inputs.time);
        let outcome = self.run(target, Args::Given(args), Inputs { time, ..inputs });
        self.world_mut().transaction.clear();
        let failure = match outcome {
            Ok(FrameOutcome::Err) => Failure::Error(self.result().to_vec()),
            Ok(_) => return Ok(self.state().limits().fuel_per_call - self.world().fuel),
            Err(failure) => failure,
        };
        Err(Failed { at: self.world().failed_at.or(Some(target)), failure })
    }

    /// What the last function returned, in row layout.
    pub(crate) fn result(&self) -> &[u8] {
        self.world().frame().map_or(&[], |frame| &frame.result)
    }

    fn run(
        &mut self,
        target: FunctionRef,
        args: Args<'_>,
        inputs: Inputs,
    ) -> Result<FrameOutcome, Failure> {
        let Some(mut world) = self.world.take() else { return Err(Failure::CodeMissing) };
        let derived = || derived_seed(world.state.seed(), world.state.next_offset());
        let seed = inputs.seed.unwrap_or_else(derived);
        world.begin(inputs.time, seed);
        if let Err(failure) = world.push_call(target, args) {
            self.world = Some(world);
            return Err(failure);
        }
        let (world, outcome) = instance::run(world, target);
        let outcome = outcome.and_then(|()| world.check_outcome());
        self.world = Some(world);
        outcome
    }

    /// Seals the transaction and encodes the commit. A failed call has an
    /// empty transaction; its commit says that it ran and how it failed.
    fn encode(
        &mut self,
        execution: &Execution,
        target: FunctionRef,
        seed: Option<u64>,
        failure: Option<&Failure>,
    ) -> Result<(), Failure> {
        let Self { world, seal, args, result, commit, .. } = self;
        let world = world.as_deref_mut().ok_or_else(|| Failure::CodeMissing)?;
        let Execution { trigger, time, fuel } = *execution;
        let sealed = world.state.seal(trigger, time, &mut world.transaction, seal)?;
        let function = world.state.function(target).ok_or_else(|| Failure::CodeMissing)?;
        args.clear();
        result.clear();
        let malformed = |error| Failure::Rule(Rule::Value { place: "result".into(), error });
        if let Some(frame) = world.frame() {
            if trigger == Trigger::Call {
                packed::pack(function.args(), &frame.args, args).map_err(malformed)?;
            }
            let layout = match failure {
                None => function.returns(),
                Some(Failure::Error(_)) => function.error(),
                Some(_) => None,
            };
            if let Some(layout) = layout {
                packed::pack(layout, &frame.result, result).map_err(malformed)?;
            }
        }
        let origin = match trigger {
            Trigger::Call => Origin::Call { module: target.module.0, function: target.index, args },
            Trigger::Subscription => Origin::Subscription,
            Trigger::Schedule => Origin::Schedule,
        };
        let outcome = match failure {
            None => Outcome::Committed { result },
            Some(failure) => Outcome::Failed { code: failure.code(), error: result },
        };
        let count = world.transaction.schedules().len() as u32;
        let body = Body::Run {
            origin,
            outcome,
            fuel,
            schedules: Schedules::from_encoded(count, &seal.schedules),
            changes: &seal.changes,
        };
        let elapsed = time.0.abs_diff(world.state.time().0);
        commit.clear();
        let limits = world.state.new_limits();
        Commit { elapsed, seed, limits, body, state_hash: sealed.state_hash }.encode(commit);
        Ok(())
    }

    /// Makes the last execution the state. Its commit is appended.
    pub(crate) fn apply(&mut self, execution: &Execution) {
        let World { state, transaction, .. } = self.world_mut();
        let (writes, schedules) = transaction.parts();
        let misfit = state.apply(execution.trigger, execution.time, writes, schedules);
        debug_assert_eq!(misfit, None);
        state.limits_are_recorded();
        transaction.clear();
    }

    /// Encodes the commit of an installation.
    pub(crate) fn encode_install(&mut self, loaded: &LoadedModule, plan: &Plan, time: Timestamp) {
        let elapsed = time.0.abs_diff(self.state().time().0);
        let body = Body::Install {
            content_hash: &loaded.content_hash,
            wasm_len: loaded.wasm_len,
            schema: &loaded.section,
        };
        let mut out = core::mem::take(&mut self.commit);
        out.clear();
        let limits = self.state().new_limits();
        Commit { elapsed, seed: None, limits, body, state_hash: plan.state_hash }.encode(&mut out);
        self.commit = out;
    }
}
