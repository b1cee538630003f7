//! A node: a database on a thread of its own, for many callers.
//!
//! ```text
//! callers -> bounded queue -> call, call, call -> one sync -> answers, changes
//! ```
//!
//! Calls run one after another, in the order of the queue, which is the order
//! of the log. While a sync runs, others queue; the next sync is theirs. So the
//! more callers there are, the more share one. Callers are threads, or tasks of
//! any executor: those cost no switch of threads for each call.
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

mod handle;
mod queue;
mod worker;

use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
};

use async_channel::Sender;
use interstice_core::{Called, CommittedChange, TableId};
use thiserror::Error;

pub use self::handle::{Changes, Handle, Ticket};
use self::{queue::queue, worker::Worker};
use crate::{
    database::{Database, DatabaseError, SnapshotFailure},
    file_log::FileLogError,
};

/// Requests that may wait before callers do.
const QUEUE_LEN: usize = 1024;

/// A database that runs on a thread of its own.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    thread: Option<JoinHandle<Database>>,
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

/// What goes wrong in a node and is no caller's business.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A snapshot that is due could not be taken, or what is not kept could not
    /// be removed. The log has everything; it is tried again when the next
    /// snapshot is due.
    #[error(transparent)]
    Snapshot(SnapshotFailure),
    /// What is scheduled, or waits behind a call, could not run and was not
    /// recorded. It is tried again after a second.
    #[error("what is due could not run: {0}")]
    Due(DatabaseError),
    /// The log takes nothing more. All watches have ended, nothing runs, and
    /// every call is refused until the database is opened again.
    #[error("the log takes nothing more: {0}")]
    Log(Arc<FileLogError>),
}

type Job = Box<dyn FnOnce(&mut Database, &mut Vec<Reply>) + Send>;
type Reply = Box<dyn FnOnce(Result<(), NodeError>) + Send>;

enum Request {
    Call {
        module: String,
        reducer: String,
        args: Vec<u8>,
        answer: oneshot::Sender<Result<Called, NodeError>>,
    },
    /// Anything else: runs, and leaves what is to be said when all is durable.
    Job(Job),
    Watch {
        table: TableId,
        changes: Sender<CommittedChange>,
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

    /// As [`start`](Self::start), with a queue of this many requests, one at
    /// least. `problem` is told, on the node's thread, what no caller is.
    pub fn start_with(
        database: Database,
        queue_len: usize,
        problem: impl FnMut(&Problem) + Send + 'static,
    ) -> Self {
        let (requests, queue) = queue(queue_len);
        let worker = Worker::new(database, queue, problem);
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
