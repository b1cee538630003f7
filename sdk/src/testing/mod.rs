//! Modules under plain `cargo test`: a host in memory.
//!
//! ```standalone_crate
//! use interstice_sdk::{prelude::*, testing::TestHost};
//!
//! #[table]
//! #[derive(Debug, PartialEq)]
//! pub struct Greeting {
//!     #[key(auto)]
//!     id: u64,
//!     name: String,
//! }
//!
//! #[reducer(inserts(Greeting))]
//! fn greet(ctx: &GreetContext, name: String) -> Result<u64, String> {
//!     Ok(ctx.greeting.insert(Greeting { id: 0, name })?.id)
//! }
//!
//! let mut host = TestHost::new();
//! assert_eq!(host.call(|ctx| greet(ctx, "Ada".into())), Ok(1));
//! assert_eq!(host.rows::<Greeting>(), [Greeting { id: 1, name: "Ada".into() }]);
//! ```
//!
//! Every module that is linked into the test takes part: reducers that wait
//! for a table run after the call, and calls into other modules reach them.

use alloc::{format, rc::Rc, string::String, vec::Vec};
use core::{any::Any, cell::RefCell};
use std::{
    borrow::ToOwned,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread_local,
};

pub use interstice_abi::schema::ModuleSchema;
use interstice_abi::{ids::NameId, schema::Trigger};

use crate::{
    context::{Context, QueryContext, ReducerContext},
    encoding::{from_bytes, with_encoded},
    function::Outcome,
    log::Level,
    table::Table,
    time::{Duration, Timestamp},
};

mod links;
pub(crate) mod registry;
mod table;
mod world;

use world::{Pending, World};

/// How many subscriptions may follow from one another.
const DEPTH_MAX: u32 = 64;

/// A host in memory: tables, time, schedule, log lines.
///
/// It checks rows, keys and scans as the real host does, and orders changes,
/// subscriptions and numbers by the same rules; modules count as installed, each
/// behind those that it calls or waits for, otherwise in the order of their
/// names. It has no log, no fuel and no limits, and its
/// random numbers are others. A scan shows the rows of when it began, where the
/// real host's goes on to rows that are inserted before it; and a number that was
/// given to a row which the same transaction deletes is not given again.
pub struct TestHost {
    world: Rc<RefCell<World>>,
}

/// A line that a module logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// A reducer that waits for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// When it runs.
    pub at: Timestamp,
    /// Its name.
    pub reducer: String,
    /// Its arguments as text: `(limit: 3)`.
    pub args: String,
}

impl TestHost {
    /// A host with empty tables, at 2020-01-01T00:00:00Z.
    ///
    /// # Panics
    ///
    /// When the linked modules do not fit each other, so that a host would not
    /// install them: one was built with an old schema file of another.
    #[expect(clippy::new_without_default, reason = "nothing holds a test host by default")]
    pub fn new() -> Self {
        Self { world: Rc::new(RefCell::new(World::new())) }
    }

    /// Sets the time that the next calls see. As in the real host, time does not
    /// go back: a time before the last transaction is that transaction's.
    pub fn set_time(&mut self, time: Timestamp) {
        self.world.borrow_mut().set_time(time);
    }

    /// Lets time pass, and runs the scheduled reducers that are due by then.
    ///
    /// At each time at which something is due, what is due is decided before any
    /// of it runs. A call that is scheduled for that same time, or an earlier one,
    /// runs the next time that something is due: in the next `advance` at the latest.
    pub fn advance(&mut self, span: Duration) {
        let until = self.world.borrow().time + span;
        let mut last = None;
        loop {
            // Its own statement: nothing is borrowed while a reducer runs.
            let next = self.world.borrow_mut().take_due(last, until);
            let Some((time, due)) = next else { break };
            self.set_time(time);
            for pending in due {
                self.run(pending);
                self.drain();
            }
            last = Some(time);
        }
        self.set_time(until);
    }

    /// Sets the seed of the random numbers that the next calls see.
    pub fn set_seed(&mut self, seed: u64) {
        self.world.borrow_mut().set_seed(seed);
    }

    /// Does what a host does when it installs the linked modules, one after the
    /// other: runs its `init` reducers, its `load` reducers, and then what waits for
    /// their changes. Modules that are not installed yet do not see these changes.
    pub fn install(&mut self) {
        let linked = self.world.borrow().linked();
        for installed in 1..=linked {
            self.world.borrow_mut().installed = installed;
            for pending in self.lifecycle() {
                self.run(pending);
            }
            // What waits for their changes runs behind both.
            self.drain();
        }
    }

    /// The `init` and `load` reducers of the module that was installed last.
    fn lifecycle(&self) -> Vec<Pending> {
        let world = self.world.borrow();
        let Some((module, known)) = world.modules().last() else { return Vec::new() };
        let reducers = [Trigger::Init, Trigger::Load].into_iter().flat_map(|trigger| {
            let reducers = known.schema.reducers.iter();
            reducers.filter(move |def| def.trigger.as_ref() == Some(&trigger))
        });
        let pending = reducers.map(|def| Pending {
            at: world.time,
            module: module.clone(),
            reducer: def.name.clone(),
            args: Vec::new(),
            depth: 0,
        });
        pending.collect()
    }

    /// Runs a reducer: one transaction, rolled back if it returns an `Err` or
    /// panics. Then runs the reducers that wait for its changes, and so on. What
    /// goes wrong there ends one of them only: see [`failures`](Self::failures).
    ///
    /// The closure calls the reducer: `host.call(|ctx| greet(ctx, "Ada".into()))`.
    pub fn call<C: ReducerContext, R: Outcome>(&mut self, reducer: impl FnOnce(&C) -> R) -> R {
        let result = self.transaction::<C, _>(reducer, Outcome::is_err, 1);
        self.drain();
        result
    }

    /// Runs a query: `host.query(count)`, or `host.query(|ctx| latest(ctx, 3))`.
    pub fn query<C: QueryContext, R>(&self, query: impl FnOnce(&C) -> R) -> R {
        let _running = Running::enter(&self.world, C::FUNCTION.module);
        query(&C::__new())
    }

    fn transaction<C: Context, R>(
        &self,
        body: impl FnOnce(&C) -> R,
        failed: impl FnOnce(&R) -> bool,
        depth: u32,
    ) -> R {
        let running = Running::enter(&self.world, C::FUNCTION.module);
        let result = body(&C::__new());
        running.finish(!failed(&result), depth);
        result
    }

    /// Runs queued reducers, in order, until none is left.
    fn drain(&mut self) {
        loop {
            // Its own statement: the queue is not borrowed while a reducer runs.
            let next = self.world.borrow_mut().queue.pop_front();
            match next {
                Some(next) => self.run(next),
                None => return,
            }
        }
    }

    /// Runs a reducer that nobody waits for. If it fails, in whatever way, the
    /// others go on.
    fn run(&mut self, pending: Pending) {
        if pending.depth >= DEPTH_MAX {
            // The test ends here; no later call is to find the rest.
            self.world.borrow_mut().queue.clear();
            panic!(
                "the reducer `{}` is at the end of a chain of {DEPTH_MAX} subscriptions; do they trigger one another?",
                pending.reducer
            );
        }
        let code = self.world.borrow().code(&pending.module, &pending.reducer);
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let running = Running::enter(&self.world, &pending.module);
            let reply = code(&pending.args);
            running.finish(reply.is_ok(), pending.depth + 1);
            reply
        }));
        let mut world = self.world.borrow_mut();
        let why = match ran {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => world.display_error(&pending, &error),
            // No fault of the reducer, and no host would get here.
            Err(panic) if world.is_unlinked.get() => {
                world.queue.clear();
                resume_unwind(panic)
            }
            Err(panic) => format!("it panicked: {}", panic_text(&*panic)),
        };
        world.record_failure(&pending, &why);
    }

    /// The rows of a table, in key order.
    pub fn rows<T: Table>(&self) -> Vec<T> {
        let world = self.world.borrow();
        let rows = world.table(T::MODULE, T::DESC.name).rows();
        rows.map(|row| from_bytes(row)).collect()
    }

    /// Puts a row into a table before a test begins: in no reducer's name, and
    /// without anybody being told. Returns the row as it is stored.
    ///
    /// # Panics
    ///
    /// When there is a row with the same primary key, or the row is to be numbered and
    /// no number is left.
    pub fn insert<T: Table>(&mut self, row: T) -> T {
        let _running = Running::enter(&self.world, T::MODULE);
        let stored = with_encoded(&row, |bytes| {
            let inserted = self.world.borrow_mut().insert(T::ID, bytes);
            assert!(inserted, "the table `{}` already has a row with this key", T::DESC.name);
            from_bytes(bytes)
        });
        self.world.borrow_mut().commit_silently();
        stored
    }

    /// The lines that modules have logged.
    pub fn log(&self) -> Vec<LogLine> {
        self.world.borrow().lines.clone()
    }

    /// The errors and panics of subscribed, scheduled, `init` and `load` reducers, as
    /// `module.reducer: error`. Each rolled its own transaction back, and what waited
    /// behind it ran: a test asks here whether all went well.
    pub fn failures(&self) -> Vec<String> {
        self.world.borrow().failures.clone()
    }

    /// The reducers that wait for their time, in the order they were scheduled.
    pub fn scheduled(&self) -> Vec<Scheduled> {
        let world = self.world.borrow();
        let scheduled = world.scheduled.iter().map(|pending| Scheduled {
            at: pending.at,
            reducer: pending.reducer.clone(),
            args: world.display_args(pending),
        });
        scheduled.collect()
    }
}

/// What a panic says.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "with no message".to_owned(),
    }
}

/// The schema of a linked module, as its WebAssembly file carries it.
///
/// # Panics
///
/// When the module is not linked into this test, or its schema is invalid.
pub fn schema(module: &str) -> ModuleSchema {
    match registry::modules().remove(module) {
        Some(module) => module.schema,
        None => panic!(
            "the module `{module}` is not linked into this test: add its crate to [dev-dependencies], and `use ::{module} as _;`"
        ),
    }
}

thread_local! {
    /// The hosts whose calls are running on this thread, the innermost last.
    static RUNNING: RefCell<Vec<Rc<RefCell<World>>>> = const { RefCell::new(Vec::new()) };
}

/// The host that answers the running function's calls.
fn running() -> Rc<RefCell<World>> {
    match RUNNING.with_borrow(|hosts| hosts.last().cloned()) {
        Some(world) => world,
        None => panic!(
            "there is no host here: run reducers and queries with `TestHost::call` and `TestHost::query`"
        ),
    }
}

/// Answers a host call.
pub(crate) fn world<R>(answer: impl FnOnce(&mut World) -> R) -> R {
    answer(&mut running().borrow_mut())
}

/// Calls a function of another module inside the running transaction, behind a
/// savepoint. Returns the length of its result or error.
pub(crate) fn call_external(target: NameId, args: &[u8]) -> Result<usize, usize> {
    let world = running();
    let (module, code) = world.borrow().external(target);
    assert!(
        !world.borrow().is_running(&module),
        "the module `{module}` runs already: a call cannot come back to it"
    );
    let savepoint = world.borrow().savepoint();
    world.borrow_mut().enter(&module);
    let reply = code(args);
    let mut world = world.borrow_mut();
    world.leave();
    match reply {
        Ok(value) => Ok(world.set_result(value)),
        Err(error) => {
            world.roll_back(savepoint);
            Err(world.set_result(error))
        }
    }
}

/// A transaction under way. Dropped without `finish`, by a panic, it is rolled
/// back.
struct Running {
    world: Rc<RefCell<World>>,
}

impl Running {
    fn enter(world: &Rc<RefCell<World>>, module: &str) -> Self {
        world.borrow_mut().enter(module);
        RUNNING.with_borrow_mut(|hosts| hosts.push(Rc::clone(world)));
        Self { world: Rc::clone(world) }
    }

    fn finish(self, commit: bool, depth: u32) {
        if commit {
            self.world.borrow_mut().commit(depth);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(Vec::pop);
        let mut world = self.world.borrow_mut();
        world.roll_back(0);
        world.abandon();
    }
}
