//! The thread of a node.

use std::{
    collections::BTreeSet,
    mem,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use async_channel::Sender;
use interstice_core::{Called, CommittedChange, TableId, Timestamp, TxOffset};

use super::{NodeError, Problem, QUEUE_LEN, Reply, Request, queue::Queue};
use crate::{clock, database::Database, file_log::FileLogError, persistence::Durability};

/// Of the time that a sync takes, this part is spent waiting for callers that
/// could share the next one, after each that came.
const LINGER: u32 = 8;

/// After what is due could not run, it is not tried again for so long; and no
/// longer than this passes without a look at the clock.
const PAUSE: Duration = Duration::from_secs(1);

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
    problem: Box<dyn FnMut(&Problem) + Send>,
    /// The log has, and that was told.
    has_failed: bool,
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
        problem: impl FnMut(&Problem) + Send + 'static,
    ) -> Self {
        Self {
            database,
            queue,
            waiting: Vec::new(),
            watchers: Vec::new(),
            problem: Box::new(problem),
            has_failed: false,
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
        let called = called.map_err(|error| NodeError::Call(Arc::new(error)));
        // Why a call failed may rest on a commit that is lost.
        self.waiting.push(Box::new(move |durable| {
            let _ = answer.send(durable.and(called));
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
        let durable = self.database.acknowledge().map_err(Arc::new);
        if !self.waiting.is_empty() {
            self.sync_time = begun.elapsed();
            self.callers = self.waiting.len() + self.queue.len();
        }
        let told = durable.clone().map_err(NodeError::NotDurable);
        for reply in self.waiting.drain(..) {
            reply(told.clone());
        }
        if let Err(failed) = durable {
            return self.end(failed);
        }
        if !self.watchers.is_empty() {
            self.tell_watchers();
        }
        if let Err(failure) = self.database.snapshot_if_due() {
            (self.problem)(&Problem::Snapshot(failure));
        }
    }

    /// The log takes nothing more: there are no changes to watch any more, and
    /// nothing runs.
    fn end(&mut self, failed: Arc<FileLogError>) {
        for watcher in mem::take(&mut self.watchers) {
            self.database.runtime_mut().unwatch(watcher.table);
        }
        if !mem::replace(&mut self.has_failed, true) {
            (self.problem)(&Problem::Log(failed));
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

    /// How long nothing is to run.
    fn until_due(&self) -> Duration {
        let state = self.database.state();
        if self.has_failed || (state.pending() == 0 && state.next_due().is_none()) {
            return Duration::MAX;
        }
        let stuck =
            self.due_stuck_until.map(|until| until.saturating_duration_since(Instant::now()));
        // By the time of the log it may be due, where the clock was set back.
        let is_due = state.next_due().is_some_and(|due| due <= state.time());
        let waits = state.pending() + usize::from(is_due);
        until_due(waits, state.next_due(), clock::now()).max(stuck.unwrap_or_default())
    }

    /// Runs what waits and what is due.
    fn run_due(&mut self) {
        let ran = self.database.run_due();
        self.due_stuck_until = ran.is_err().then(|| Instant::now() + PAUSE);
        if self.database.log().is_poisoned() {
            self.acknowledge();
        } else if let Err(failed) = ran {
            (self.problem)(&Problem::Due(failed));
        }
    }
}

/// How long nothing is to run: no longer than a [`PAUSE`], as the system's
/// clock may be set, or go on while this process is suspended.
fn until_due(pending: usize, next_due: Option<Timestamp>, now: Timestamp) -> Duration {
    match next_due {
        _ if pending > 0 => Duration::ZERO,
        None => PAUSE,
        Some(due) => {
            let micros = u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0);
            Duration::from_micros(micros).min(PAUSE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_looked_for_again_at_least_each_second() {
        let at = Timestamp;
        assert_eq!(until_due(1, None, at(0)), Duration::ZERO, "what a call left behind");
        assert_eq!(until_due(0, Some(at(5)), at(5)), Duration::ZERO);
        assert_eq!(until_due(0, Some(at(i64::MIN)), at(i64::MAX)), Duration::ZERO);
        assert_eq!(until_due(0, Some(at(7)), at(5)), Duration::from_micros(2));
        assert_eq!(until_due(0, Some(at(i64::MAX)), at(i64::MIN)), PAUSE);
    }
}
