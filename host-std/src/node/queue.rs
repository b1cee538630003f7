//! The queue before a node: bounded, so that callers wait for a place in it,
//! threads and tasks alike.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    time::Duration,
};

use async_lock::{Semaphore, SemaphoreGuardArc};

use super::{NodeError, Request};

/// A queue with this many places, one at least.
pub(super) fn queue(len: usize) -> (Requests, Queue) {
    let len = len.max(1);
    let (sender, receiver) = mpsc::channel();
    let places = Arc::new(Semaphore::new(len));
    (Requests { places: places.clone(), sender }, Queue { len, places, receiver })
}

/// A request in its place, which is free again when the request is taken, and
/// when the queue is gone.
type Queued = (Request, SemaphoreGuardArc);

/// Where requests are put.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    places: Arc<Semaphore>,
    sender: Sender<Queued>,
}

impl Requests {
    pub(super) fn send(&self, request: Request) -> Result<(), NodeError> {
        let place = self.places.acquire_arc_blocking();
        self.put(request, place)
    }

    pub(super) async fn send_async(&self, request: Request) -> Result<(), NodeError> {
        let place = self.places.acquire_arc().await;
        self.put(request, place)
    }

    pub(super) fn try_send(&self, request: Request) -> Result<(), NodeError> {
        let place = self.places.try_acquire_arc().ok_or(NodeError::Busy)?;
        self.put(request, place)
    }

    fn put(&self, request: Request, place: SemaphoreGuardArc) -> Result<(), NodeError> {
        self.sender.send((request, place)).map_err(|_| NodeError::Stopped)
    }
}

/// Where they are taken.
pub(super) struct Queue {
    len: usize,
    places: Arc<Semaphore>,
    receiver: Receiver<Queued>,
}

impl Queue {
    /// Requests that wait, near enough to decide by.
    pub(super) fn len(&self) -> usize {
        self.len.saturating_sub(self.places.available_permits())
    }

    pub(super) fn try_take(&self) -> Result<Request, TryRecvError> {
        self.receiver.try_recv().map(|(request, _place)| request)
    }

    pub(super) fn take(&self, timeout: Duration) -> Result<Request, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout).map(|(request, _place)| request)
    }
}
