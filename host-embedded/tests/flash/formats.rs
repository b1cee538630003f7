//! Power cuts while a region is formatted that holds a log.

use interstice_core::log::frame::LogHeader;
use interstice_embedded::{
    flash_log::{FlashLog, MountError},
    mock_flash::{MockFlash, Tear},
};

use crate::driver::{HEADER, Log, RECORD, State, append, commit, open, replay};

type Flash = MockFlash<4, 512>;

const PAGES: usize = 8;
const SNAPSHOT: usize = 700;
const TEARS: [Tear; 5] = [Tear::InOrder, Tear::AnySubset, Tear::Unstable, Tear::Late, Tear::Early];

/// A log with so many commits.
fn filled(commits: u64) -> (Log<Flash>, State) {
    let mut log = Log::format(Flash::new(PAGES), HEADER).unwrap();
    let mut state = State::EMPTY;
    for position in 0..commits {
        append(&mut log, &mut state, &commit(position, 0, true), SNAPSHOT).unwrap();
    }
    (log, state)
}

/// A log whose newest pages are those of a snapshot that was not finished.
fn with_half_a_snapshot(commits: u64) -> (Log<Flash>, State) {
    let (mut log, state) = filled(commits);
    log.begin_snapshot().unwrap();
    log.write_snapshot(&state.encode(SNAPSHOT)[..600]).unwrap();
    (log, state)
}

/// Cuts power everywhere in the format of a flash that holds `state`: behind it the
/// region has all of that, or no log, or the new one. Returns how often it had each.
fn cut_formats(flash: &Flash, state: State, what: &str) -> [u32; 3] {
    let header = LogHeader { log_id: [0xa5; 16], seed: 78 };
    let mut whole = flash.clone();
    let before = whole.units();
    let _ = FlashLog::<_, RECORD>::format(&mut whole, header).unwrap();
    let cost = whole.units() - before;
    let mut seen = [0; 3];
    for cut in 0..cost {
        for (number, tear) in TEARS.into_iter().enumerate() {
            let mut flash = flash.clone();
            flash.cut_after(cut, tear, cut * 5 + number as u64);
            let failed = FlashLog::<_, RECORD>::format(&mut flash, header);
            assert!(matches!(failed.err(), Some(MountError::Flash(_))));
            flash.power_on();
            let what = || format!("{what}, {tear:?}, cut {cut} of {cost}");
            match open(&mut flash, SNAPSHOT) {
                Ok((log, found)) if log.header() == header => {
                    assert_eq!(found, State::EMPTY, "{}", what());
                    seen[2] += 1;
                }
                Ok((_, found)) => {
                    assert_eq!(found, state, "{}", what());
                    seen[0] += 1;
                }
                Err(_) => seen[1] += 1,
            }
            let mut log = FlashLog::<_, RECORD>::format(&mut flash, header).unwrap();
            assert_eq!(replay(&mut log), Ok(State::EMPTY), "{}", what());
        }
    }
    seen
}

#[test]
fn a_format_that_power_cuts_short_brings_no_earlier_state_back() {
    let mut scenes = Vec::new();
    for commits in [40, 60, 75, 100, 150, 230, 400, 411] {
        scenes.push((format!("{commits} commits"), filled(commits)));
        scenes.push((format!("{commits}, half a snapshot"), with_half_a_snapshot(commits)));
    }
    let mut all = [0; 3];
    for (what, (mut log, state)) in scenes {
        // Behind a mount, too.
        let mounted = open(log.flash().clone(), SNAPSHOT).unwrap().0.into_flash();
        for flash in [log.into_flash(), mounted] {
            let seen = cut_formats(&flash, state, &what);
            (0..3).for_each(|at| all[at] += seen[at]);
        }
    }
    println!("whole, none, new: {all:?}");
    assert!(all.iter().all(|times| *times > 0), "{all:?}");
}
