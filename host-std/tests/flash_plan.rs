//! What a plan says of snapshots, and what a device writes.

use interstice::flash_plan::Plan;
use interstice_core::{Inputs, Limits, Timestamp, log::frame::LogHeader};
use interstice_embedded::{Device, FlashLog, mock_flash::MockFlash};

mod fixture;

/// Pages of a snapshot of so many rows, as it is planned and as it is written: in one
/// go, and in the smallest steps.
fn check<const W: usize, const P: usize>(rows: usize, row_len: usize) {
    let pages = (1 << 20) / P;
    let mut flash = MockFlash::<W, P>::new(pages);
    let header = LogHeader { log_id: [1; 16], seed: 1 };
    FlashLog::<_>::format(&mut flash, header).unwrap();
    let (mut device, _) = Device::<_>::open(&mut flash, &Limits::default(), &[]).unwrap();
    device.runtime().install(&fixture::wasm(), Inputs::at(Timestamp(1))).unwrap();
    let add = device.runtime().reducer("notes", "add").unwrap();
    for row in 0..rows {
        let text = format!("{row:0>row_len$}");
        let inputs = Inputs::at(Timestamp(row as i64 + 1));
        device.runtime().call(add, &fixture::text_argument(&text), inputs).unwrap();
    }
    let (state, log) = device.runtime().state_and_log();
    let mut snapshot = 0;
    let counted = state.encode_snapshot(&mut |piece| {
        snapshot += piece.len() as u64;
        Ok::<_, ()>(())
    });
    counted.unwrap();
    let plan = Plan {
        region: 1 << 20,
        page: P as u64,
        word: W as u64,
        commit: 81,
        commits_per_hour: 1.0,
        starts_per_day: 1.0,
        snapshot,
        buffer: 512,
        endurance: 100_000,
    };
    let planned = plan.outlook().unwrap().snapshot_pages;
    for budget in [usize::MAX, 1] {
        while !log.snapshot_of(state, budget).unwrap() {}
        let written = log.geometry().pages - log.free_pages();
        assert_eq!(
            u64::from(written),
            planned,
            "{rows} rows of {row_len} bytes, words of {W}, steps of {budget}"
        );
    }
}

#[test]
fn a_snapshot_takes_the_pages_that_the_plan_says_whatever_its_rows_are() {
    for (rows, row_len) in [(1, 1), (2_000, 4), (1_500, 123), (600, 300), (100, 2_900)] {
        check::<1, 256>(rows / 4, row_len);
        check::<4, 4_096>(rows, row_len);
        check::<16, 2_048>(rows, row_len);
        check::<32, 1_024>(rows, row_len);
    }
}
