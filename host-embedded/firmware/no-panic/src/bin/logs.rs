//! Everything that can be done with a log, in any order.
#![no_std]
#![no_main]

use interstice_core::{
    CommittedState, TxOffset,
    log::{Log as _, frame::LogHeader},
};
use interstice_embedded::{
    FlashLog, IoLog,
    flash_log::{
        Entry, FlashLogError, MountError, Mounted, ReplayError,
        image::{self, ImageError},
    },
    io_log::{IoLogError, Opened},
};
use no_panic::{UnknownFlash, UnknownMedium};

// What a caller does, which nobody defines.
unsafe extern "Rust" {
    safe fn step() -> u32;
    safe fn number() -> u64;
    safe fn bytes() -> &'static [u8];
    safe fn log_header() -> LogHeader;
    safe fn state() -> &'static CommittedState;
    safe fn capacity() -> Option<u64>;
    safe fn visit_entry(entry: Entry<'_>) -> Result<(), u32>;
    safe fn visit_commit(offset: TxOffset, commit: &[u8]) -> Result<(), u32>;
    safe fn mounted(result: Result<Mounted, MountError>);
    safe fn written(result: Result<(), FlashLogError>);
    safe fn replayed(result: Result<(), ReplayError<u32>>);
    safe fn found_in_image(result: Result<usize, ImageError>);
    safe fn opened(result: Result<Opened, IoLogError<u32>>);
    safe fn io_written(result: Result<(), IoLogError>);
    safe fn count(number: u64);
}

#[unsafe(no_mangle)]
extern "C" fn entry() {
    match step() {
        0 => flash_log::<1, 256, 64>(),
        1 => flash_log::<4, 4096, 512>(),
        2 => flash_log::<32, 131_072, { image::RECORD_LEN_MAX }>(),
        3 => io_log(),
        _ => image_log(),
    }
}

fn flash_log<const WORD: usize, const PAGE: usize, const RECORD: usize>() {
    let flash = UnknownFlash::<WORD, PAGE>;
    let log = match step() {
        0 => {
            FlashLog::<_, RECORD>::format(flash, log_header()).map(|log| (log, Mounted::default()))
        }
        _ => FlashLog::mount(flash),
    };
    match log {
        Ok((log, found)) => {
            mounted(Ok(found));
            use_flash_log(log);
        }
        Err(error) => mounted(Err(error)),
    }
}

fn use_flash_log<const WORD: usize, const PAGE: usize, const RECORD: usize>(
    mut log: FlashLog<UnknownFlash<WORD, PAGE>, RECORD>,
) {
    loop {
        match step() {
            0 => written(log.append(TxOffset(number()), bytes())),
            1 => written(log.mark()),
            2 => written(log.begin_snapshot()),
            3 => written(log.write_snapshot(bytes())),
            4 => written(log.finish_snapshot()),
            5 => replayed(log.replay(&mut visit_entry)),
            6 => written(log.sync()),
            7 => count(log.next_offset().0),
            8 => count(log.header().seed),
            9 => count(log.geometry().page_size.into()),
            10 => count(log.free_pages().into()),
            11 => count(log.block_len() as u64),
            12 => count(log.wants_snapshot().into()),
            13 => count(log.needs_snapshot().into()),
            14 => count(log.is_snapshotting().into()),
            _ => break,
        }
    }
}

fn io_log() {
    let log = match step() {
        0 => match IoLog::create(UnknownMedium, log_header(), capacity()) {
            Ok(log) => Ok((log, Opened::default())),
            Err(error) => return io_written(Err(error)),
        },
        _ => IoLog::open(UnknownMedium, capacity(), &mut visit_commit),
    };
    let mut log = match log {
        Ok((log, found)) => {
            opened(Ok(found));
            log
        }
        Err(error) => return opened(Err(error)),
    };
    loop {
        match step() {
            0 => io_written(log.append(TxOffset(number()), bytes())),
            1 => io_written(log.sync()),
            2 => io_written(log.mark()),
            3 => io_written(log.prepare(state(), number() as usize)),
            4 => count(log.len()),
            5 => count(log.is_empty().into()),
            6 => count(log.header().seed),
            _ => break,
        }
    }
}

fn image_log() {
    match image::open_image(bytes(), capacity().map(|at| at as usize)) {
        Ok(mut found) => {
            found_in_image(Ok(found.at));
            replayed(found.log.replay(&mut visit_entry));
        }
        Err(error) => found_in_image(Err(error)),
    }
}
