//! What the log costs: bytes, programs, erases, reads, memory, wear. On a region
//! of 1 MiB, in pages of 4 KiB and words of 4 bytes, where nothing else is said.

use interstice_core::TxOffset;
use interstice_embedded::{
    flash_log::{FlashLog, FlashLogError},
    mock_flash::MockFlash,
};

use crate::driver::{HEADER, Random, setting};

type Flash = MockFlash<4, 4096>;
type Log<'a> = FlashLog<&'a mut Flash, 512>;

/// Appends records of `len` bytes; the state is a counter, so that snapshots
/// cost next to nothing.
fn append(log: &mut Log<'_>, records: u64, len: usize) {
    let mut random = Random::new(len as u64);
    let mut payload = vec![0; len];
    for position in 0..records {
        payload.fill_with(|| random.next() as u8);
        let offset = TxOffset(log.next_offset().0);
        if log.append(offset, &payload) == Err(FlashLogError::NeedsSnapshot) {
            snapshot(log, position);
            log.append(offset, &payload).unwrap();
        }
    }
}

fn snapshot(log: &mut Log<'_>, position: u64) {
    log.begin_snapshot().unwrap();
    log.write_snapshot(&position.to_le_bytes()).unwrap();
    log.finish_snapshot().unwrap();
}

#[test]
fn bytes_programs_and_erases_per_record() {
    for (len, bytes_per_byte, erases_per_1000) in [(32, 1.5, 12.0), (128, 1.15, 36.0)] {
        let mut flash = Flash::new(256);
        let mut log = Log::format(&mut flash, HEADER).unwrap();
        let before = log.flash().counters.clone();
        let records = 100_000;
        append(&mut log, records, len);
        let counters = &flash.counters;
        let programmed = counters.bytes_programmed - before.bytes_programmed;
        let programs = counters.programs - before.programs;
        let erases: u64 = counters.erases.iter().sum::<u64>() - before.erases.iter().sum::<u64>();
        let per_byte = programmed as f64 / (records * len as u64) as f64;
        let per_record = programs as f64 / records as f64;
        let per_1000 = erases as f64 * 1000.0 / records as f64;
        println!(
            "{len} bytes: {per_byte:.3} bytes programmed per byte, {per_record:.4} programs per \
             record, {per_1000:.2} erases per 1,000 records"
        );
        assert!(per_byte <= bytes_per_byte, "{per_byte}");
        assert!(per_record <= 1.05, "{per_record}");
        assert!(per_1000 <= erases_per_1000, "{per_1000}");
        assert_eq!(counters.words_programmed_twice, 0);
    }
}

/// Bytes that a mount reads behind so many records and a mark.
fn bytes_read_behind(records: u64) -> u64 {
    let mut flash = Flash::new(256);
    let mut log = Log::format(&mut flash, HEADER).unwrap();
    append(&mut log, records, 32);
    if log.mark().is_err() {
        snapshot(&mut log, records);
    }
    let before = flash.counters.bytes_read;
    let (mut log, _) = Log::mount(&mut flash).unwrap();
    log.flash().counters.bytes_read - before
}

#[test]
fn bytes_read_before_the_log_is_ready() {
    let most = |records: &mut dyn Iterator<Item = u64>| records.map(bytes_read_behind).max();
    let usual = most(&mut [1, 50, 99, 10_000, 20_000].into_iter()).unwrap();
    // In the page of a snapshot its records are read twice, and a mark that is the last
    // thing in the region often.
    let snapshot = most(&mut (12_650..12_850)).unwrap();
    println!("at most {usual} bytes read, {snapshot} around a snapshot");
    assert!(usual <= 8_220, "{usual}");
    assert!(snapshot <= 8_804, "{snapshot}");
}

#[test]
fn memory_of_the_log() {
    let buffer = 512;
    let state = size_of::<Log<'_>>() - buffer;
    println!("{state} bytes besides the record buffer");
    assert!(state <= 128, "{state}");
}

#[test]
fn many_records_wear_all_pages_alike() {
    let mut flash = Flash::new(16);
    let mut log = Log::format(&mut flash, HEADER).unwrap();
    append(&mut log, setting("INTERSTICE_FLASH_RECORDS", 1_000_000), 24);
    let erases = &flash.counters.erases;
    let (least, most) = (erases.iter().min().unwrap(), erases.iter().max().unwrap());
    println!("each page was erased {least} to {most} times");
    assert!(most - least <= 1, "{erases:?}");
}
