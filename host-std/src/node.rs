//! A node: a database on a thread of its own, for many callers.
//!
//! ```text
//! callers -> bounded queue -> call, call, call -> one sync -> answers, changes
//! ```
//!
//! Calls run one after another, in the order of the queue, which is the order
//! of the log. While a sync runs, others queue; the next sync is theirs. So the
//! more callers there are, the more share one.
//!
//! Invariants:
//! - Nobody is given an answer, a query's included, or a change, that rests on
//!   a commit which is not as durable as the
//!   [`PersistenceConfig`](crate::persistence::PersistenceConfig) asks for.
//! - When the queue is full, callers wait; nothing is dropped.
//! - After a failed sync every caller that waits is told, and every later one
//!   is refused.
//!
//! # Example
//!
//! ```
//! # use interstice::core::abi::schema::{FunctionDef, ModuleSchema};
//! use std::thread;
//! use interstice::{database::Database, node::Node};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let ping = FunctionDef { name: "ping".into(), ..FunctionDef::default() };
//! # let schema = ModuleSchema { module: "demo".into(), reducers: vec![ping], ..Default::default() };
//! # let section: String = schema.encode()?.iter().map(|byte| format!("\\{byte:02x}")).collect();
//! # let wasm = wat::parse_str(format!(
//! #     r#"(module
//! #         (memory (export "memory") 1)
//! #         (func (export "reducer.ping") (param i32))
//! #         (@custom "interstice.schema" "{section}"))"#
//! # ))?;
//! # let folder = tempfile::tempdir()?;
//! let mut database = Database::create(&folder.path().join("data"))?;
//! database.install(&wasm)?; // A module with a reducer `ping`.
//!
//! let node = Node::start(database);
//! let callers: Vec<_> = (0..4)
//!     .map(|_| {
//!         let handle = node.handle();
//!         thread::spawn(move || handle.call("demo", "ping", Vec::new()))
//!     })
//!     .collect();
//! for caller in callers {
//!     caller.join().expect("no panic")?; // On the disk.
//! }
//! let database = node.stop()?;
//! assert_eq!(database.state().next_offset().0, 5);
//! database.close()?;
//! # Ok(())
//! # }
//! ```

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use interstice_core::{Answer, Called, CommittedChange, TableId, TxOffset};
use thiserror::Error;

use crate::{
    clock,
    database::{Database, DatabaseError, SnapshotFailure, is_committed},
    file_log::FileLogError,
    persistence::Durability,
};

/// Requests that may wait before callers do.
const QUEUE_LEN: usize = 1024;

/// A database that runs on a thread of its own.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    thread: Option<JoinHandle<Database>>,
}

/// How callers reach a [`Node`]: as many as they like, from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: SyncSender<Request>,
}

/// Why a node gives no answer.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The call or query has no effect; or, as its kind says, a subscription
    /// behind it could not run.
    #[error(transparent)]
    Call(Arc<DatabaseError>),
    /// The call ran, but could not be made durable. It may be in the log, or
    /// not: the database has to be opened again to know.
    #[error("it may be lost: {0}")]
    NotDurable(Arc<FileLogError>),
    /// There is no such table to watch.
    #[error("there is no table `{table}`")]
    UnknownTable {
        /// Its name, as `module.table`.
        table: String,
    },
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
    /// The queue is full: only [`Handle::try_submit`] says so.
    #[error("too many requests wait")]
    Busy,
}

/// A call that was submitted.
#[derive(Debug)]
pub struct Ticket {
    answer: Receiver<Result<Called, NodeError>>,
}

/// Committed changes of a table, as a [`Handle::watch`] gets them.
#[derive(Debug)]
pub struct Changes {
    changes: Receiver<CommittedChange>,
}

type Job = Box<dyn FnOnce(&mut Database, &mut Vec<Reply>) + Send>;
type Reply = Box<dyn FnOnce(Result<(), NodeError>) + Send>;

enum Request {
    Call {
        module: String,
        reducer: String,
        args: Vec<u8>,
        answer: SyncSender<Result<Called, NodeError>>,
    },
    /// Anything else: runs, and leaves what is to be said when all is durable.
    Job(Job),
    Watch {
        table: TableId,
        changes: SyncSender<CommittedChange>,
    },
    Stop,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call { .. } => "Call",
            Self::Job(_) => "Job",
            Self::Watch { .. } => "Watch",
            Self::Stop => "Stop",
        })
    }
}

impl Node {
    /// Runs `database` on a thread of its own, where scheduled calls run too
    /// when their time comes, and snapshots are taken when they are due.
    pub fn start(database: Database) -> Self {
        Self::start_with(database, QUEUE_LEN, |_| {})
    }

    /// As [`start`](Self::start), with a queue of this many requests. `problem`
    /// is told when a snapshot that is due could not be taken: the log has
    /// everything, and it is tried again when the next one is due.
    pub fn start_with(
        database: Database,
        queue_len: usize,
        problem: impl FnMut(&SnapshotFailure) + Send + 'static,
    ) -> Self {
        let (requests, queue) = mpsc::sync_channel(queue_len);
        let worker = Worker {
            database,
            queue,
            waiting: Vec::new(),
            watchers: Vec::new(),
            problem: Box::new(problem),
            due_stuck_until: None,
        };
        let thread = thread::spawn(move || worker.run());
        Self { handle: Handle { requests }, thread: Some(thread) }
    }

    /// A handle for a caller.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops: everything that was submitted before is run, made durable and
    /// answered; what comes later is refused. Gives the database back.
    ///
    /// # Errors
    ///
    /// When the thread has panicked.
    pub fn stop(mut self) -> Result<Database, NodeError> {
        self.join().ok_or(NodeError::Stopped)
    }

    fn join(&mut self) -> Option<Database> {
        let thread = self.thread.take()?;
        // If it has stopped already, nobody takes the request.
        let _ = self.handle.requests.send(Request::Stop);
        thread.join().ok()
    }
}

impl Drop for Node {
    /// Stops, as [`Node::stop`] does.
    fn drop(&mut self) {
        self.join();
    }
}

impl Handle {
    /// Calls a reducer with arguments in row layout, and waits until the call
    /// is durable.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    pub fn call(&self, module: &str, reducer: &str, args: Vec<u8>) -> Result<Called, NodeError> {
        self.submit(module, reducer, args)?.wait()
    }

    /// Submits a call, and waits only for a place in the queue.
    ///
    /// # Errors
    ///
    /// When the node has stopped.
    pub fn submit(&self, module: &str, reducer: &str, args: Vec<u8>) -> Result<Ticket, NodeError> {
        let (request, ticket) = call_request(module, reducer, args);
        self.requests.send(request).map_err(|_| NodeError::Stopped)?;
        Ok(ticket)
    }

    /// Submits a call, unless the queue is full.
    ///
    /// # Errors
    ///
    /// When the queue is full, or the node has stopped.
    pub fn try_submit(
        &self,
        module: &str,
        reducer: &str,
        args: Vec<u8>,
    ) -> Result<Ticket, NodeError> {
        let (request, ticket) = call_request(module, reducer, args);
        match self.requests.try_send(request) {
            Ok(()) => Ok(ticket),
            Err(TrySendError::Full(_)) => Err(NodeError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(NodeError::Stopped),
        }
    }

    /// Asks a query with arguments in row layout. The answer rests on durable
    /// commits only.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    pub fn query(&self, module: &str, query: &str, args: Vec<u8>) -> Result<Answer, NodeError> {
        let (module, query) = (module.to_owned(), query.to_owned());
        self.with(move |database| {
            let target = database.query_ref(&module, &query)?;
            database.query(target, &args)
        })?
        .map_err(|error| NodeError::Call(Arc::new(error)))
    }

    /// Does anything else with the database, in its turn: install a module,
    /// take a snapshot, look at the state. Returns when everything is durable.
    ///
    /// # Errors
    ///
    /// When the node has stopped, or its log has failed.
    pub fn with<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Database) -> R + Send + 'static,
    ) -> Result<R, NodeError> {
        let (sender, answer) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |database, replies| {
            let done = job(database);
            replies.push(Box::new(move |durable| {
                // Who does not wait for the answer does not want it.
                let _ = sender.send(durable.map(|()| done));
            }));
        });
        self.requests.send(Request::Job(job)).map_err(|_| NodeError::Stopped)?;
        answer.recv().map_err(|_| NodeError::Stopped)?
    }

    /// Watches a table: from now on its committed changes come to the receiver,
    /// in order, when they are durable. When `buffer` of them wait to be taken
    /// and one more comes, the watch ends: read the table and watch again.
    ///
    /// # Errors
    ///
    /// When there is no such table, or the node has stopped.
    pub fn watch(&self, module: &str, table: &str, buffer: usize) -> Result<Changes, NodeError> {
        let (module, table) = (module.to_owned(), table.to_owned());
        let name = format!("{module}.{table}");
        let found = self.with(move |database| {
            database.state().table(&module, &table).map(interstice_core::Table::id)
        })?;
        let table = found.ok_or(NodeError::UnknownTable { table: name })?;
        let (sender, changes) = mpsc::sync_channel(buffer);
        let request = Request::Watch { table, changes: sender };
        self.requests.send(request).map_err(|_| NodeError::Stopped)?;
        Ok(Changes { changes })
    }
}

impl Ticket {
    /// Waits until the call is durable.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    pub fn wait(self) -> Result<Called, NodeError> {
        self.answer.recv().map_err(|_| NodeError::Stopped)?
    }
}

impl Iterator for Changes {
    type Item = CommittedChange;

    /// Waits for the next change; `None` when the watch has ended.
    fn next(&mut self) -> Option<CommittedChange> {
        self.changes.recv().ok()
    }
}

fn call_request(module: &str, reducer: &str, args: Vec<u8>) -> (Request, Ticket) {
    let (answer, receiver) = mpsc::sync_channel(1);
    let (module, reducer) = (module.to_owned(), reducer.to_owned());
    (Request::Call { module, reducer, args, answer }, Ticket { answer: receiver })
}

/// Who watches a table.
struct Watcher {
    table: TableId,
    /// The first commit that it hears of.
    from: TxOffset,
    changes: SyncSender<CommittedChange>,
}

/// The thread of a node.
struct Worker {
    database: Database,
    queue: Receiver<Request>,
    /// What is said when everything that was appended is durable.
    waiting: Vec<Reply>,
    watchers: Vec<Watcher>,
    problem: Box<dyn FnMut(&SnapshotFailure) + Send>,
    /// What was due could not be run: not tried again before this.
    due_stuck_until: Option<Instant>,
}

impl Worker {
    fn run(mut self) -> Database {
        while let Some(request) = self.next_request() {
            match request {
                Request::Call { module, reducer, args, answer } => {
                    self.call(&module, &reducer, &args, answer);
                }
                Request::Job(job) => job(&mut self.database, &mut self.waiting),
                Request::Watch { table, changes } => {
                    self.database.runtime_mut().watch(table);
                    let from = self.database.state().next_offset();
                    self.watchers.push(Watcher { table, from, changes });
                }
                Request::Stop => break,
            }
            if self.is_group_full() {
                self.acknowledge();
                // However many requests come, what is due has its turn.
                if self.until_due().is_zero() {
                    self.run_due();
                }
            }
        }
        self.acknowledge();
        self.database
    }

    /// The next request. Before waiting for one, everything that ran is made
    /// durable and answered; while waiting, scheduled calls run.
    fn next_request(&mut self) -> Option<Request> {
        loop {
            match self.queue.try_recv() {
                Ok(request) => return Some(request),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.acknowledge(),
            }
            match self.queue.recv_timeout(self.until_due()) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.run_due(),
            }
        }
    }

    fn call(
        &mut self,
        module: &str,
        reducer: &str,
        args: &[u8],
        answer: SyncSender<Result<Called, NodeError>>,
    ) {
        let target = self.database.reducer(module, reducer);
        let called = target.and_then(|target| self.database.append(target, args));
        let committed = is_committed(&called);
        let called = called.map_err(|error| NodeError::Call(Arc::new(error)));
        self.waiting.push(Box::new(move |durable| {
            // A call that has no effect says why, whatever the disk does.
            let said = match durable {
                Err(lost) if committed => Err(lost),
                _ => called,
            };
            let _ = answer.send(said);
        }));
    }

    fn is_group_full(&self) -> bool {
        let config = self.database.config();
        match config.durability {
            Durability::EveryCommit => true,
            Durability::Group | Durability::System => {
                self.database.is_sync_due() || self.waiting.len() >= QUEUE_LEN
            }
        }
    }

    /// Makes everything that ran durable, and says so to those who wait.
    fn acknowledge(&mut self) {
        let durable = self.database.acknowledge().map_err(|e| NodeError::NotDurable(Arc::new(e)));
        for reply in self.waiting.drain(..) {
            reply(durable.clone());
        }
        if durable.is_err() {
            return;
        }
        if !self.watchers.is_empty() {
            self.tell_watchers();
        }
        if let Err(failure) = self.database.snapshot_if_due() {
            (self.problem)(&failure);
        }
    }

    fn tell_watchers(&mut self) {
        let tables: BTreeSet<TableId> = self.watchers.iter().map(|watcher| watcher.table).collect();
        for change in self.database.runtime_mut().take_changes() {
            self.watchers.retain(|watcher| {
                watcher.table != change.table
                    || change.offset < watcher.from
                    || watcher.changes.try_send(change.clone()).is_ok()
            });
        }
        // Nobody takes any more what is kept for those who have left.
        for table in tables {
            if self.watchers.iter().all(|watcher| watcher.table != table) {
                self.database.runtime_mut().unwatch(table);
            }
        }
    }

    /// How long nothing is due.
    fn until_due(&self) -> Duration {
        const LONG: Duration = Duration::from_secs(3600);
        let Some(due) = self.database.state().next_due() else { return LONG };
        let wait = due.0.saturating_sub(clock::now().0);
        let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0));
        let stuck =
            self.due_stuck_until.map(|until| until.saturating_duration_since(Instant::now()));
        wait.max(stuck.unwrap_or_default()).min(LONG)
    }

    /// Runs what is due. A failed log is told to those who call.
    fn run_due(&mut self) {
        const PAUSE: Duration = Duration::from_secs(1);
        let failed = self.database.run_due().is_err();
        self.due_stuck_until = failed.then(|| Instant::now() + PAUSE);
        if self.database.log().is_poisoned() {
            self.acknowledge();
        }
    }
}
