//! Power cuts at every byte of every program and at eight points of every
//! erase, and many in a row.

use interstice_embedded::{
    flash_log::{FlashLogError, MountError},
    mock_flash::{BadPage, MockFlash, Tear},
};

use crate::driver::{HEADER, Log, OpenError, Random, State, append, commit, open, setting};

const BAD: [BadPage; 4] =
    [BadPage::EraseFails, BadPage::EraseLies, BadPage::ProgramFails, BadPage::ProgramLies];

const TEARS: [Tear; 4] = [Tear::InOrder, Tear::AnySubset, Tear::Unstable, Tear::Late];

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
    let mut log = Log::format(flash, HEADER).unwrap();
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

/// Every how many units power is cut: all, unless a long run is not wanted.
fn step(short: u64) -> u64 {
    setting("INTERSTICE_FLASH_STEP", short)
}

fn check<const W: usize, const E: usize>(plan: Plan) {
    let done = cut_everywhere::<W, E>(plan);
    println!("words of {W}, {} pages of {E}: {done:?}", plan.pages);
    assert!(done.snapshots >= 3, "{done:?}");
    assert!(done.erases >= 4 * plan.pages as u64, "three wraps: {done:?}");
    assert!(plan.commits >= 1_000);
    assert!(done.seen > 0, "an unacknowledged commit was there at least once");
}

/// One ring, in every size of word.
macro_rules! rings {
    ($($name:ident: $page:literal, $plan:expr;)*) => { $(
        mod $name {
            use super::*;

            #[test]
            fn words_of_1() {
                check::<1, $page>($plan);
            }

            #[test]
            fn words_of_4() {
                check::<4, $page>($plan);
            }

            #[test]
            fn words_of_8() {
                check::<8, $page>($plan);
            }

            #[test]
            fn words_of_16() {
                check::<16, $page>($plan);
            }

            #[test]
            fn words_of_32() {
                check::<32, $page>($plan);
            }
        }
    )* };
}

rings! {
    two_pages: 512, Plan {
        pages: 2, commits: 1_000, snapshot: 40, large: false, step: step(29), remounts: 2,
    };
    three_pages: 512, Plan {
        pages: 3, commits: 1_000, snapshot: 90, large: false, step: step(29), remounts: 2,
    };
    eight_pages: 512, Plan {
        pages: 8, commits: 1_000, snapshot: 700, large: true, step: step(61), remounts: 2,
    };
    many_pages: 256, Plan {
        pages: 256, commits: 3_500, snapshot: 2_000, large: true, step: step(1_499), remounts: 2,
    };
}

#[test]
fn what_a_mount_has_found_stays_so_over_a_hundred_mounts() {
    for pages in [2, 3, 8] {
        let plan = Plan { pages, commits: 60, snapshot: 40, large: false, step: 37, remounts: 100 };
        cut_everywhere::<4, 512>(plan);
    }
}

/// A device that power is cut for several times: while it appends, makes a
/// snapshot, mounts. `bad`: one page is bad now and then.
fn many_cuts<const W: usize, const E: usize>(seed: u64, pages: usize, snapshot: usize, bad: bool) {
    cut_often::<W, E>(seed, pages, snapshot, bad, &USUAL);
}

/// How power goes.
struct Cuts {
    tears: &'static [Tear],
    fewest: u64,
    spread: u64,
    /// Of a hundred, how many are near enough to hit the mount; and how near.
    near: u64,
    within: u64,
}

const USUAL: Cuts = Cuts { tears: &TEARS, fewest: 2, spread: 6, near: 25, within: 150 };

/// Most cuts are in mounts, and leave what reads one way now and another way later.
const IN_MOUNTS: Cuts = Cuts {
    tears: &[Tear::InOrder, Tear::Unstable, Tear::Late, Tear::Late, Tear::Early, Tear::Early],
    fewest: 4,
    spread: 12,
    near: 60,
    within: 200,
};

fn cut_often<const W: usize, const E: usize>(
    seed: u64,
    pages: usize,
    snapshot: usize,
    bad: bool,
    how: &Cuts,
) {
    let mut random = Random::new(seed);
    let large = pages > 3;
    let mut flash = MockFlash::<W, E>::new(pages);
    Log::format(&mut flash, HEADER).unwrap();
    // What was told to somebody, and what may be there besides.
    let (mut told, mut next) = (State::EMPTY, State::EMPTY);
    let cuts = how.fewest + random.below(how.spread);
    for cut in 0..=cuts {
        flash.power_on();
        let far = if cut == 0 { random.below(20_000) } else { 0 };
        let near = if random.chance(how.near) { how.within } else { 1_500 };
        if cut < cuts {
            flash.cut_after(far + random.below(near), *random.pick(how.tears), random.next());
        }
        for page in 0..pages {
            flash.set_bad(page, None);
        }
        if bad && cut < cuts && random.chance(70) {
            let page = random.below(pages as u64) as usize;
            flash.set_bad(page, Some(*random.pick(&BAD)));
        }
        let (mut log, mut state) = match open(&mut flash, snapshot) {
            Ok(opened) => opened,
            Err(error) => {
                let is_flash = matches!(
                    error,
                    OpenError::Mount(MountError::Flash(_))
                        | OpenError::Snapshot(FlashLogError::Flash(_) | FlashLogError::Full)
                );
                assert!(
                    flash.is_off() || bad && cut < cuts && is_flash,
                    "seed {seed}, cut {cut}: {error:?}"
                );
                continue;
            }
        };
        assert!(
            state == told || state == next,
            "seed {seed}, cut {cut}: {state:?}, not {told:?} or {next:?}"
        );
        (told, next) = (state, state);
        for _ in 0..1_000 {
            let payload = commit(state.commits, cut, large);
            next = state;
            next.apply(&payload);
            let marked = if random.chance(5) { log.mark() } else { Ok(()) };
            if !matches!(marked, Ok(()) | Err(FlashLogError::NeedsSnapshot)) {
                break;
            }
            match append(&mut log, &mut state, &payload, snapshot) {
                Ok(_) => told = state,
                Err(_) if log.flash().is_off() || bad => break,
                Err(error) => panic!("seed {seed}, cut {cut}: {error:?}"),
            }
            if cut == cuts && random.chance(10) {
                break;
            }
        }
    }
    assert_eq!(flash.counters.words_programmed_twice, 0);
}

/// The seeds of a test: one in `share` of those that are asked for.
fn seeds(share: u64) -> std::ops::Range<u64> {
    let first = setting("INTERSTICE_FLASH_FIRST_SEED", 0);
    first..first + setting("INTERSTICE_FLASH_SEEDS", 100_000) / share
}

/// Rings of all kinds.
fn cut_rings(seeds: std::ops::Range<u64>, how: &Cuts) {
    for seed in seeds {
        match seed % 6 {
            0 => cut_often::<4, 512>(seed, 2, 40, false, how),
            1 => cut_often::<4, 512>(seed, 3, 90, false, how),
            2 => cut_often::<8, 512>(seed, 8, 700, false, how),
            3 => cut_often::<1, 512>(seed, 4, 300, false, how),
            4 => cut_often::<16, 512>(seed, 5, 200, false, how),
            _ => cut_often::<32, 1024>(seed, 3, 200, false, how),
        }
    }
}

#[test]
fn many_cuts_in_a_row() {
    cut_rings(seeds(1), &USUAL);
}

#[test]
fn many_cuts_in_mounts() {
    cut_rings(seeds(2), &IN_MOUNTS);
}

/// What stood last in a page was torn, and reads as ones at a later mount, which
/// passes the page over, erases it and is cut short. Found among a million seeds.
#[test]
fn what_is_seen_at_one_mount_and_not_at_the_next_loses_nothing() {
    // A snapshot was begun that says that the log ends in the page.
    many_cuts::<8, 512>(307_016, 8, 700, false);
    many_cuts::<32, 1024>(407_597, 5, 200, true);
    // An earlier mount had told what the page decides.
    many_cuts::<32, 1024>(27_683, 3, 200, false);
    // A page that is erased next was all that said that it ends the log.
    many_cuts::<8, 512>(1_051_880, 8, 700, false);
    // The page repeats a record, and a mark behind it was all that proved it.
    many_cuts::<32, 1024>(536_951, 3, 200, false);
}

#[test]
fn many_cuts_in_a_row_with_a_bad_page() {
    for seed in seeds(2) {
        match seed % 3 {
            0 => many_cuts::<4, 512>(seed, 6, 300, true),
            1 => many_cuts::<8, 512>(seed, 8, 700, true),
            _ => many_cuts::<32, 1024>(seed, 5, 200, true),
        }
    }
}
