//! A flash that one has to wait for: the async front does what the blocking one does.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
};

use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use interstice_core::TxOffset;
use interstice_embedded::{
    AsyncFlashLog,
    flash_log::{Entry, FlashLogError},
    mock_flash::{MockError, MockFlash},
};

use crate::driver::{HEADER, Log, RECORD, State, append, commit};

/// A flash whose every operation is done only when it was asked for twice.
struct Waiting(MockFlash<4, 512>);

/// Is ready the second time.
async fn wait() {
    let mut waited = false;
    poll_fn(|context| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl ErrorType for Waiting {
    type Error = MockError;
}

impl ReadNorFlash for Waiting {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), MockError> {
        wait().await;
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Waiting {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 512;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), MockError> {
        wait().await;
        self.0.erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), MockError> {
        wait().await;
        self.0.write(offset, bytes)
    }
}

/// Runs a future, and counts how often it has waited.
fn run<T>(future: impl Future<Output = T>) -> (T, u32) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let mut waits = 0;
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return (done, waits),
            Poll::Pending => waits += 1,
        }
    }
}

#[test]
fn waiting_for_the_flash_changes_nothing_of_what_is_in_it() {
    let mut blocking = Log::format(MockFlash::<4, 512>::new(8), HEADER).unwrap();
    let mut state = State::EMPTY;
    for position in 0..300 {
        append(&mut blocking, &mut state, &commit(position, 0, true), 300).unwrap();
    }
    blocking.mark().unwrap();

    let (image, waits) = run(async {
        let flash = Waiting(MockFlash::new(8));
        let mut log = AsyncFlashLog::<_, RECORD>::format(flash, HEADER).await.unwrap();
        let mut state = State::EMPTY;
        for position in 0..300 {
            let payload = commit(position, 0, true);
            while let Err(error) = log.append(TxOffset(position), &payload).await {
                assert_eq!(error, FlashLogError::NeedsSnapshot);
                log.begin_snapshot().unwrap();
                log.write_snapshot(&state.encode(300)).await.unwrap();
                log.finish_snapshot().await.unwrap();
            }
            state.apply(&payload);
        }
        log.mark().await.unwrap();
        log.into_flash().0.image().to_vec()
    });
    assert!(image == blocking.flash().image(), "the images differ");
    assert!(waits > 1_000, "{waits}");

    let (commits, _) = run(async {
        let flash = Waiting(MockFlash::of_image(&image));
        let (mut log, mounted) = AsyncFlashLog::<_, RECORD>::mount(flash).await.unwrap();
        assert_eq!(mounted.torn, None);
        let mut commits = 0;
        let mut visit = |entry: Entry<'_>| {
            commits += u32::from(matches!(entry, Entry::Commit(..)));
            Ok::<_, ()>(())
        };
        log.replay(&mut visit).await.unwrap();
        assert_eq!(log.next_offset().0, 300);
        commits
    });
    assert!(commits > 0);
}
