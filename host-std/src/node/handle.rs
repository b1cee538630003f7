//! How callers reach a node, from threads and from tasks.

use std::sync::Arc;

use async_channel::Receiver;
use interstice_core::{Answer, Called, CommittedChange, Table, TableId};

use super::{Job, NodeError, Request, queue::Requests};
use crate::database::{Database, DatabaseError};

/// How callers reach a [`Node`](super::Node): as many as they like, from any thread, or from
/// tasks of any executor. What ends in `_async` is for those: it never blocks
/// the thread, and a future that is dropped takes its interest in the answer
/// with it, not what was submitted.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) requests: Requests,
}

/// A call that was submitted. Whoever drops it does not want the answer; the
/// call runs all the same.
#[derive(Debug)]
pub struct Ticket {
    answer: oneshot::Receiver<Result<Called, NodeError>>,
}

/// Committed changes of a table, as a [`Handle::watch`] gets them.
#[derive(Debug)]
pub struct Changes {
    changes: Receiver<CommittedChange>,
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

    /// As [`call`](Self::call), for a task.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    pub async fn call_async(
        &self,
        module: &str,
        reducer: &str,
        args: Vec<u8>,
    ) -> Result<Called, NodeError> {
        let (request, ticket) = call_request(module, reducer, args);
        self.requests.send_async(request).await?;
        ticket.wait_async().await
    }

    /// Submits a call, and waits only for a place in the queue.
    ///
    /// # Errors
    ///
    /// When the node has stopped.
    pub fn submit(&self, module: &str, reducer: &str, args: Vec<u8>) -> Result<Ticket, NodeError> {
        let (request, ticket) = call_request(module, reducer, args);
        self.requests.send(request)?;
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
        self.requests.try_send(request)?;
        Ok(ticket)
    }

    /// Asks a query with arguments in row layout. The answer rests on durable
    /// commits only.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    pub fn query(&self, module: &str, query: &str, args: Vec<u8>) -> Result<Answer, NodeError> {
        answered(self.with(query_job(module, query, args)))
    }

    /// As [`query`](Self::query), for a task.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    pub async fn query_async(
        &self,
        module: &str,
        query: &str,
        args: Vec<u8>,
    ) -> Result<Answer, NodeError> {
        answered(self.with_async(query_job(module, query, args)).await)
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
        let (request, answer) = job_request(job);
        self.requests.send(request)?;
        answer.recv().map_err(|_| NodeError::Stopped)?
    }

    /// As [`with`](Self::with), for a task. The job itself runs on the thread
    /// of the node.
    ///
    /// # Errors
    ///
    /// When the node has stopped, or its log has failed.
    pub async fn with_async<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Database) -> R + Send + 'static,
    ) -> Result<R, NodeError> {
        let (request, answer) = job_request(job);
        self.requests.send_async(request).await?;
        answer.await.map_err(|_| NodeError::Stopped)?
    }

    /// Watches a table: from now on its committed changes come to the receiver,
    /// in order, when they are durable. When `buffer` of them (one at least) wait
    /// to be taken
    /// and one more comes, the watch ends: read the table and watch again.
    ///
    /// # Errors
    ///
    /// When there is no such table, or the node has stopped.
    pub fn watch(&self, module: &str, table: &str, buffer: usize) -> Result<Changes, NodeError> {
        let found = self.with(table_job(module, table))?;
        let (request, changes) = watch_request(found, module, table, buffer)?;
        self.requests.send(request)?;
        Ok(changes)
    }

    /// As [`watch`](Self::watch), for a task.
    ///
    /// # Errors
    ///
    /// When there is no such table, or the node has stopped.
    pub async fn watch_async(
        &self,
        module: &str,
        table: &str,
        buffer: usize,
    ) -> Result<Changes, NodeError> {
        let found = self.with_async(table_job(module, table)).await?;
        let (request, changes) = watch_request(found, module, table, buffer)?;
        self.requests.send_async(request).await?;
        Ok(changes)
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

    /// As [`wait`](Self::wait), for a task.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    pub async fn wait_async(self) -> Result<Called, NodeError> {
        self.answer.await.map_err(|_| NodeError::Stopped)?
    }
}

impl Changes {
    /// As [`next`](Iterator::next), for a task.
    pub async fn next_async(&mut self) -> Option<CommittedChange> {
        self.changes.recv().await.ok()
    }
}

impl Iterator for Changes {
    type Item = CommittedChange;

    /// Waits for the next change; `None` when the watch has ended.
    fn next(&mut self) -> Option<CommittedChange> {
        self.changes.recv_blocking().ok()
    }
}

fn call_request(module: &str, reducer: &str, args: Vec<u8>) -> (Request, Ticket) {
    let (answer, receiver) = oneshot::channel();
    let (module, reducer) = (module.to_owned(), reducer.to_owned());
    (Request::Call { module, reducer, args, answer }, Ticket { answer: receiver })
}

fn job_request<R: Send + 'static>(
    job: impl FnOnce(&mut Database) -> R + Send + 'static,
) -> (Request, oneshot::Receiver<Result<R, NodeError>>) {
    let (answer, receiver) = oneshot::channel();
    let job: Job = Box::new(move |database, replies| {
        let done = job(database);
        replies.push(Box::new(move |durable| {
            // Who does not wait for the answer does not want it.
            let _ = answer.send(durable.map(|()| done));
        }));
    });
    (Request::Job(job), receiver)
}

fn query_job(
    module: &str,
    query: &str,
    args: Vec<u8>,
) -> impl FnOnce(&mut Database) -> Result<Answer, DatabaseError> + Send + 'static {
    let (module, query) = (module.to_owned(), query.to_owned());
    move |database| {
        let target = database.query_ref(&module, &query)?;
        database.query(target, &args)
    }
}

fn table_job(
    module: &str,
    table: &str,
) -> impl FnOnce(&mut Database) -> Option<TableId> + Send + 'static {
    let (module, table) = (module.to_owned(), table.to_owned());
    move |database| database.state().table(&module, &table).map(Table::id)
}

fn watch_request(
    found: Option<TableId>,
    module: &str,
    table: &str,
    buffer: usize,
) -> Result<(Request, Changes), NodeError> {
    let unknown = || NodeError::UnknownTable { table: format!("{module}.{table}") };
    let (sender, changes) = async_channel::bounded(buffer.max(1));
    let request = Request::Watch { table: found.ok_or_else(unknown)?, changes: sender };
    Ok((request, Changes { changes }))
}

fn answered(answer: Result<Result<Answer, DatabaseError>, NodeError>) -> Result<Answer, NodeError> {
    answer?.map_err(|error| NodeError::Call(Arc::new(error)))
}
