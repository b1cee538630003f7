//! Power cuts at every byte of every program and at eight points of every
//! erase, and many in a row.

use interstice_embedded::{
    flash_log::FlashLogError,
    mock_flash::{MockFlash, Tear},
};

use crate::driver::{Log, State, append, commit, open};

const TEARS: [Tear; 3] = [Tear::InOrder, Tear::AnySubset, Tear::Unstable];

/// A ring, and what is done with it.
#[derive(Clone, Copy)]
struct Plan {
    pages: usize,
    commits: u64,
    /// Bytes of a snapshot.
    snapshot: usize,
    /// Commits that need several records.
    large: bool,
    /// Every how many units power is cut.
    step: u64,
    /// How often a device that has come up is mounted again.
    remounts: u32,
}

/// What a run has done.
#[derive(Debug, Default)]
struct Done {
    cuts: u64,
    snapshots: u64,
    erases: u64,
    seen: u64,
}

/// Checks that a device comes up after a cut with what was acknowledged, or one
/// commit more, and that it stays so.
fn check_after_cut<const W: usize, const E: usize>(
    mut flash: MockFlash<W, E>,
    before: State,
    after: State,
    plan: Plan,
    what: impl Fn() -> String,
) -> bool {
    flash.power_on();
    let (log, state) =
        open(flash, plan.snapshot).unwrap_or_else(|error| panic!("{}: {error:?}", what()));
    assert!(state == before || state == after, "{}: {state:?}, not {before:?}", what());
    let mut flash = log.into_flash();
    for _ in 0..plan.remounts {
        let (log, again) = open(flash, plan.snapshot)
            .unwrap_or_else(|error| panic!("again, {}: {error:?}", what()));
        assert_eq!(again, state, "again, {}", what());
        flash = log.into_flash();
    }
    let (mut log, mut state) = open(flash, plan.snapshot).unwrap();
    let next = commit(state.commits, 99, plan.large);
    append(&mut log, &mut state, &next, plan.snapshot)
        .unwrap_or_else(|error| panic!("appending, {}: {error:?}", what()));
    let expected = state;
    let (_, state) = open(log.into_flash(), plan.snapshot).unwrap();
    assert_eq!(state, expected, "appended, {}", what());
    state.commits == after.commits + 1
}

/// Runs a workload and cuts power in every operation of it.
fn cut_everywhere<const W: usize, const E: usize>(plan: Plan) -> Done {
    let mut done = Done::default();
    let flash = MockFlash::<W, E>::new(plan.pages);
    let mut log = Log::format(flash, crate::driver::HEADER).unwrap();
    let mut state = State::EMPTY;
    let mut units = 0;
    for position in 0..plan.commits {
        let payload = commit(position, 0, plan.large);
        let (mut whole, mut after) = (log.clone(), state);
        let before_units = log.flash().units();
        done.snapshots += append(&mut whole, &mut after, &payload, plan.snapshot).unwrap();
        let cost = whole.flash().units() - before_units;
        for cut in 0..cost {
            units += 1;
            if units % plan.step != 0 {
                continue;
            }
            for tear in TEARS {
                let (mut torn, mut lost) = (log.clone(), state);
                torn.flash().cut_after(cut, tear, units);
                let failed = append(&mut torn, &mut lost, &payload, plan.snapshot);
                assert!(matches!(failed, Err(FlashLogError::Flash(_))), "{failed:?}");
                let what = || {
                    format!(
                        "words of {W}, {} pages of {E}, {tear:?}, commit {position}, cut {cut} of {cost}",
                        plan.pages
                    )
                };
                let seen = check_after_cut(torn.into_flash(), state, after, plan, what);
                done.seen += u64::from(seen);
                done.cuts += 1;
            }
        }
        (log, state) = (whole, after);
    }
    let counters = &log.flash().counters;
    assert_eq!(counters.words_programmed_twice, 0);
    done.erases = counters.erases.iter().sum();
    done
}

#[test]
fn a_small_ring() {
    let plan = Plan { pages: 3, commits: 120, snapshot: 40, large: false, step: 1, remounts: 2 };
    let done = cut_everywhere::<4, 512>(plan);
    println!("{done:?}");
}
