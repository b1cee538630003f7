//! Operations that fail, and pages that are bad.

use interstice_embedded::{
    flash_log::{FlashLogError, MountError, ReplayError},
    mock_flash::{BadPage, MockFlash},
};

use crate::driver::{HEADER, Log, OpenError, Random, State, append, commit, open, replay};

type Flash = MockFlash<4, 512>;

const SNAPSHOT: usize = 300;

#[test]
fn an_operation_that_fails_acknowledges_nothing() {
    let mut flash = Flash::new(5);
    let mut log = Log::format(&mut flash, HEADER).unwrap();
    let mut state = State::EMPTY;
    let mut failures = 0;
    for position in 0..200 {
        let payload = commit(position, 0, true);
        for operation in 0.. {
            let mut failing = log.flash().clone();
            let (mut again, mut after) = open(&mut failing, SNAPSHOT).unwrap();
            again.flash().fail_at(Some(operation));
            let result = append(&mut again, &mut after, &payload, SNAPSHOT);
            if again.flash().operations() <= operation {
                break;
            }
            failures += 1;
            again.flash().fail_at(None);
            if result.is_err() {
                let refused = append(&mut again, &mut after.clone(), &payload, SNAPSHOT);
                assert_eq!(refused, Err(FlashLogError::Failed), "until it is mounted again");
            }
            let (_, found) = open(&mut failing, SNAPSHOT).unwrap();
            let acknowledged = if result.is_ok() { after } else { state };
            let mut more = state;
            more.apply(&payload);
            assert!(found == acknowledged || found == more, "{position} {operation} {result:?}");
        }
        append(&mut log, &mut state, &payload, SNAPSHOT).unwrap();
    }
    assert!(failures > 400, "{failures}");
}

#[test]
fn an_operation_that_fails_while_mounting_leaves_what_was_there() {
    let mut flash = Flash::new(5);
    let mut log = Log::format(&mut flash, HEADER).unwrap();
    let mut state = State::EMPTY;
    for position in 0..60 {
        append(&mut log, &mut state, &commit(position, 0, true), SNAPSHOT).unwrap();
        let good = log.flash().clone();
        for operation in 0.. {
            let mut failing = good.clone();
            failing.fail_at(Some(operation));
            let opened = open(&mut failing, SNAPSHOT).map(|(_, found)| assert_eq!(found, state));
            if failing.operations() <= operation {
                break;
            }
            if let Err(error) = opened {
                let is_flash = matches!(
                    error,
                    OpenError::Mount(_)
                        | OpenError::Replay(_)
                        | OpenError::Snapshot(FlashLogError::Flash(_))
                );
                assert!(is_flash, "{error:?}");
            }
            failing.fail_at(None);
            let (_, found) = open(&mut failing, SNAPSHOT).unwrap();
            assert_eq!(found, state);
        }
    }
}

#[test]
fn bad_pages_are_left_out() {
    let kinds =
        [BadPage::EraseFails, BadPage::EraseLies, BadPage::ProgramFails, BadPage::ProgramLies];
    let mut refused = 0;
    for seed in 0..400u64 {
        let mut random = Random::new(seed);
        let mut flash = Flash::new(10);
        let mut state = State::EMPTY;
        Log::format(&mut flash, HEADER).unwrap();
        for round in 0..6 {
            let (mut log, found) = open(&mut flash, SNAPSHOT).unwrap();
            assert_eq!(found, state, "seed {seed}");
            // Two pages at most are bad at any time.
            for page in 0..10 {
                log.flash().set_bad(page, None);
            }
            for _ in 0..2 {
                let page = random.below(10) as usize;
                log.flash().set_bad(page, Some(*random.pick(&kinds)));
            }
            for _ in 0..40 {
                let payload = commit(state.commits, round, true);
                if let Err(error) = append(&mut log, &mut state, &payload, SNAPSHOT) {
                    assert!(
                        matches!(error, FlashLogError::Flash(_) | FlashLogError::Full),
                        "seed {seed}: {error:?}"
                    );
                    refused += 1;
                    break;
                }
            }
            for page in 0..10 {
                log.flash().set_bad(page, None);
            }
            // What was not acknowledged may be there.
            let (_, found) = open(&mut flash, SNAPSHOT).unwrap();
            assert!(found.commits == state.commits || found.commits == state.commits + 1);
            state = found;
        }
    }
    println!("{refused} of 2,400 rounds met an error that was passed on");
    assert!(refused < 600, "{refused}");
}

#[test]
fn a_region_whose_first_page_is_bad_holds_a_log() {
    for bad in [BadPage::EraseFails, BadPage::EraseLies, BadPage::ProgramFails] {
        let mut flash = Flash::new(6);
        // There was a log before.
        let mut old = Log::format(&mut flash, HEADER).unwrap();
        for position in 0..30 {
            append(&mut old, &mut State { commits: position, hash: 0 }, &[7; 30], SNAPSHOT)
                .unwrap();
        }
        flash.set_bad(0, Some(bad));
        let mut state = State::EMPTY;
        let mut log = Log::format(&mut flash, HEADER).unwrap();
        for position in 0..40 {
            append(&mut log, &mut state, &commit(position, 0, false), SNAPSHOT).unwrap();
        }
        assert_eq!(open(&mut flash, SNAPSHOT).unwrap().1, state, "{bad:?}");
    }
}

#[test]
fn a_log_is_not_read_while_a_snapshot_is_written() {
    let mut log = Log::format(Flash::new(8), HEADER).unwrap();
    let mut state = State::EMPTY;
    for position in 0..20 {
        append(&mut log, &mut state, &commit(position, 0, false), SNAPSHOT).unwrap();
    }
    log.begin_snapshot().unwrap();
    for piece in state.encode(SNAPSHOT).chunks(100) {
        assert_eq!(replay(&mut log), Err(ReplayError::Log(MountError::Snapshotting)));
        log.write_snapshot(piece).unwrap();
    }
    assert_eq!(replay(&mut log), Err(ReplayError::Log(MountError::Snapshotting)));
    log.finish_snapshot().unwrap();
    assert_eq!(replay(&mut log), Ok(state));
}
