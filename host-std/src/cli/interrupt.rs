//! Ctrl-C, for commands that have something to finish or to remove first.

use std::{
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use super::exit::Exit;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first Ctrl-C does not end the process: it is for the command
/// to look, and to end in order. The second one ends it, in case the command
/// waits for somebody else.
pub(super) fn watch() -> &'static AtomicBool {
    let handle = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            process::exit(Exit::Incomplete as i32);
        }
    };
    // Where no handler can be set, Ctrl-C ends the process as ever.
    let _ = ctrlc::set_handler(handle);
    &INTERRUPTED
}

/// From now on Ctrl-C removes this file, which is of use only when it is whole, and
/// ends the process.
pub(super) fn remove_at(unfinished: PathBuf) {
    let handle = move || {
        // Not there any more, when it has got its name.
        let _ = fs::remove_file(&unfinished);
        process::exit(Exit::Incomplete as i32);
    };
    let _ = ctrlc::set_handler(handle);
}
