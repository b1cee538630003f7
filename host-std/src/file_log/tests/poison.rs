//! What follows a failed write or sync.

use super::{disk::*, *};

/// A log whose disk has refused what was done to it second.
fn poisoned(fail: impl FnOnce(&mut FileLog) -> Result<(), FileLogError>) -> &'static str {
    let disk = Disk::default();
    let fixture = Fixture { files: Arc::new(disk.clone()), ..Fixture::new(100) };
    let mut log = fixture.open().unwrap();
    log.append(TxOffset(0), b"one").unwrap();
    log.sync().unwrap();
    assert!(!log.is_poisoned());
    disk.refuse(true);
    let Err(FileLogError::Io { action, .. }) = fail(&mut log) else {
        panic!("nothing was refused")
    };
    assert!(log.is_poisoned());
    // The disk is well again; the log does not trust it.
    disk.refuse(false);
    disk.take_done();
    let next = log.next;
    for refused in [log.append(next, b"more"), log.write(), log.sync()] {
        assert!(matches!(refused, Err(FileLogError::Poisoned { .. })), "{refused:?}");
    }
    assert!(matches!(log.begin_new_segment(), Err(FileLogError::Poisoned { .. })));
    drop(log);
    assert_eq!(disk.take_done(), [], "not even a mark is written");
    assert_eq!(fixture.read().0[0], b"one");
    action
}

#[test]
fn a_log_takes_nothing_more_after_a_failed_write() {
    let action = poisoned(|log| {
        log.append(TxOffset(1), b"two")?;
        log.write()
    });
    assert_eq!(action, "write");
}

#[test]
fn a_log_takes_nothing_more_after_a_failed_sync() {
    let action = poisoned(|log| {
        log.append(TxOffset(1), b"two")?;
        log.sync()
    });
    assert_eq!(action, "write");
    // With nothing to write, it is the seal's sync that fails.
    assert_eq!(poisoned(|log| log.begin_new_segment().map(drop)), "sync");
}
