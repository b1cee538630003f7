//! The thread of a node.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use async_channel::Sender;
use interstice_core::{Called, CommittedChange, TableId, TxOffset};

use super::{NodeError, QUEUE_LEN, Reply, Request, queue::Queue};
use crate::{
    clock,
    database::{Database, SnapshotFailure, is_committed},
    persistence::Durability,
};

/// Of the time that a sync takes, this part is spent waiting for callers that
/// could share the next one, after each that came.
const LINGER: u32 = 8;

/// Who watches a table.
struct Watcher {
    table: TableId,
    /// The first commit that it hears of.
    from: TxOffset,
    changes: Sender<CommittedChange>,
}

/// What runs on it.
pub(super) struct Worker {
    database: Database,
    queue: Queue,
    /// What is said when everything that was appended is durable.
    waiting: Vec<Reply>,
    watchers: Vec<Watcher>,
    problem: Box<dyn FnMut(&SnapshotFailure) + Send>,
    /// Callers that were there when the last sync ended, and how long it took.
    callers: usize,
    sync_time: Duration,
    /// What was due could not be run: not tried again before this.
    due_stuck_until: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        database: Database,
        queue: Queue,
        problem: impl FnMut(&SnapshotFailure) + Send + 'static,
    ) -> Self {
        Self {
            database,
            queue,
            waiting: Vec::new(),
            watchers: Vec::new(),
            problem: Box::new(problem),
            callers: 0,
            sync_time: Duration::ZERO,
            due_stuck_until: None,
        }
    }

    pub(super) fn run(mut self) -> Database {
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
            match self.queue.try_take() {
                Ok(request) => return Some(request),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            if let Some(request) = self.linger() {
                return Some(request);
            }
            self.acknowledge();
            match self.queue.take(self.until_due()) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.run_due(),
            }
        }
    }

    /// Who has just been answered is likely to ask again. A sync that waits a
    /// little for those is shared by all of them; otherwise the first to come
    /// back has one of its own, and the others wait for two.
    fn linger(&self) -> Option<Request> {
        if self.waiting.is_empty() || self.waiting.len() >= self.callers {
            return None;
        }
        let until = Instant::now() + self.sync_time / LINGER;
        while Instant::now() < until {
            match self.queue.try_take() {
                Ok(request) => return Some(request),
                Err(_) => thread::yield_now(),
            }
        }
        None
    }

    fn call(
        &mut self,
        module: &str,
        reducer: &str,
        args: &[u8],
        answer: oneshot::Sender<Result<Called, NodeError>>,
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
        let begun = Instant::now();
        let durable = self.database.acknowledge().map_err(|e| NodeError::NotDurable(Arc::new(e)));
        if !self.waiting.is_empty() {
            self.sync_time = begun.elapsed();
            self.callers = self.waiting.len() + self.queue.len();
        }
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
