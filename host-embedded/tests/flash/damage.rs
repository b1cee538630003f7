//! Flipped bits, bursts, pages that are stale, swapped, copied, moved, and
//! images of anything.

use interstice_core::log::frame::crc32c;
use interstice_embedded::{
    flash_log::{MountError, ReplayError},
    mock_flash::MockFlash,
};

use crate::driver::{
    HEADER, Log, OpenError, Random, State, append, commit, open, replay, setting, snapshot,
};

const PAGE: usize = 512;
const PAGES: usize = 8;

type Flash = MockFlash<4, PAGE>;

/// A region in use, and what it holds. `marked`: a mark stands last.
fn region(commits: u64, marked: bool) -> (Vec<u8>, State) {
    let mut flash = Flash::new(PAGES);
    let mut log = Log::format(&mut flash, HEADER).unwrap();
    let mut state = State::EMPTY;
    for position in 0..commits {
        append(&mut log, &mut state, &commit(position, 0, true), 300).unwrap();
    }
    if marked {
        log.mark().unwrap();
    }
    (flash.image().to_vec(), state)
}

/// What has become of a region.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same state.
    Same,
    /// Refused, with a place.
    Located,
    /// The newest commit is missing, or the newest two small ones, and it is said
    /// where something was that may not have been programmed to its end.
    ReportedTorn,
}

pub(crate) fn verdict(image: &[u8], good: State, what: impl Fn() -> String) -> Verdict {
    let flash = Flash::of_image(image);
    let (mut log, mounted) = match Log::mount(flash) {
        Ok(opened) => opened,
        Err(
            MountError::Damaged(_)
            | MountError::Moved { .. }
            | MountError::Version { .. }
            | MountError::NoLog { not_blank: Some(_) }
            | MountError::Geometry { .. },
        ) => return Verdict::Located,
        Err(error) => panic!("{}: {error:?}", what()),
    };
    let state = match replay(&mut log) {
        Ok(state) => state,
        Err(ReplayError::Log(MountError::Damaged(_))) => return Verdict::Located,
        Err(error) => panic!("{}: {error:?}", what()),
    };
    if state == good {
        return Verdict::Same;
    }
    let mut before = State::EMPTY;
    for position in 0..state.commits {
        before.apply(&commit(position, 0, true));
    }
    assert_eq!(state, before, "{}", what());
    assert!(state.commits + 3 > good.commits, "{}: {mounted:?}", what());
    assert!(mounted.torn.is_some() || mounted.unfinished_pages > 0, "{}: {mounted:?}", what());
    Verdict::ReportedTorn
}

#[test]
fn every_flipped_bit_leaves_the_same_state_or_is_located() {
    // In the middle of a page, at the end of one, right behind a snapshot,
    // behind a commit in several records; with and without a mark.
    for commits in [1, 37, 40, 41, 90, 93] {
        for marked in [false, true] {
            let (image, good) = region(commits, marked);
            assert_eq!(verdict(&image, good, || "intact".into()), Verdict::Same);
            let mut located = 0;
            for bit in 0..image.len() * 8 {
                let mut bad = image.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let what = || format!("{commits} commits, marked {marked}, bit {bit}");
                match verdict(&bad, good, what) {
                    Verdict::Same => {}
                    Verdict::Located => located += 1,
                    Verdict::ReportedTorn => panic!("{}: lost", what()),
                }
            }
            assert!(commits < 2 || located > 1_000, "{located}");
        }
    }
}

#[test]
fn a_burst_leaves_the_same_state_or_is_located() {
    let bursts = setting("INTERSTICE_FLASH_BURSTS", 5_000);
    let mut random = Random::new(3);
    let mut torn = [0u64; 2];
    for round in 0..bursts {
        if round % 1_000 == 0 {
            random = Random::new(round);
        }
        let marked = random.chance(50);
        let (image, good) = region(30 + round / 1_000 % 80, marked);
        for _ in 0..20 {
            let mut bad = image.clone();
            let len = 2 + random.below(255) as usize;
            let first = random.below((image.len() * 8 - len) as u64) as usize;
            for bit in first..first + len {
                // The first and the last bit, and any between.
                if bit == first || bit + 1 == first + len || random.chance(50) {
                    bad[bit / 8] ^= 1 << (bit % 8);
                }
            }
            let what = || format!("round {round}, {len} bits from {first}");
            if verdict(&bad, good, what) == Verdict::ReportedTorn {
                torn[usize::from(marked)] += 1;
            }
        }
    }
    println!("looked torn: {} without a mark, {} with one", torn[0], torn[1]);
    // Only what hits the newest record can look torn.
    assert!(torn[0] < bursts * 20 / 500, "{torn:?}");
    // Behind a mark it must hit both.
    assert!(torn[1] <= torn[0] / 8, "{torn:?}");
}

/// The images of a region after each of so many commits.
fn images(commits: u64) -> Vec<(Vec<u8>, State)> {
    let mut flash = Flash::new(PAGES);
    let mut log = Log::format(&mut flash, HEADER).unwrap();
    let mut state = State::EMPTY;
    let mut images = Vec::new();
    for position in 0..commits {
        append(&mut log, &mut state, &commit(position, 0, false), 300).unwrap();
        images.push((log.flash().image().to_vec(), state));
    }
    images
}

#[test]
fn a_stale_page_is_noticed_unless_it_is_the_newest() {
    let images = images(200);
    let mut located = 0;
    for (at, (image, good)) in images.iter().enumerate().skip(60).step_by(7) {
        for (older, _) in images[..at].iter().step_by(11) {
            for page in 0..PAGES {
                let bytes = page * PAGE..(page + 1) * PAGE;
                if older[bytes.clone()] == image[bytes.clone()] {
                    continue;
                }
                let mut bad = image.clone();
                bad[bytes.clone()].copy_from_slice(&older[bytes]);
                match opened(&bad) {
                    Err(_) => located += 1,
                    // The page is not in the log any more; or it is the newest,
                    // as it was some commits before.
                    Ok(state) => {
                        assert!(state == *good || is_before(&images, state, at), "page {page}");
                    }
                }
            }
        }
    }
    assert!(located > 300, "{located}");
}

fn opened(image: &[u8]) -> Result<State, OpenError> {
    open(Flash::of_image(image), 300).map(|(_, state)| state)
}

fn is_before(images: &[(Vec<u8>, State)], state: State, at: usize) -> bool {
    images[..at].iter().any(|(_, before)| *before == state)
}

#[test]
fn swapped_copied_and_moved_pages_are_refused() {
    let (image, good) = region(120, false);
    let page = |image: &[u8], page: usize| image[page * PAGE..(page + 1) * PAGE].to_vec();
    let is_used = |image: &[u8], number: usize| page(image, number).iter().any(|b| *b != 0xff);
    for a in 0..PAGES {
        for b in (0..PAGES).filter(|b| *b != a && is_used(&image, a)) {
            let mut copied = image.clone();
            copied[b * PAGE..(b + 1) * PAGE].copy_from_slice(&page(&image, a));
            let mut swapped = copied.clone();
            swapped[a * PAGE..(a + 1) * PAGE].copy_from_slice(&page(&image, b));
            for bad in [copied, swapped] {
                let moved = MountError::Moved { page: b as u16, belongs: a as u16 };
                match opened(&bad) {
                    Err(OpenError::Mount(MountError::Moved { .. })) => {}
                    other => panic!("{other:?}, not {moved:?}"),
                }
            }
        }
    }
    for by in 1..PAGES {
        let mut moved = image.clone();
        moved.rotate_right(by * PAGE);
        assert!(matches!(opened(&moved), Err(OpenError::Mount(MountError::Moved { .. }))));
    }
    assert_eq!(opened(&image), Ok(good));
}

#[test]
fn a_region_of_another_shape_and_a_foreign_page_are_refused() {
    let (image, _) = region(120, true);
    let half = MockFlash::<4, PAGE>::of_image(&image[..PAGES / 2 * PAGE]);
    let result = open(half, 300).map(|(_, state)| state);
    assert!(
        matches!(
            result,
            Err(OpenError::Mount(MountError::Geometry { .. } | MountError::Damaged(_)))
        ),
        "{result:?}"
    );
    let words = MockFlash::<8, PAGE>::of_image(&image);
    let result = open(words, 300).map(|(_, state)| state);
    assert!(matches!(result, Err(OpenError::Mount(MountError::Geometry { .. }))), "{result:?}");
    let pages = MockFlash::<4, { PAGE * 2 }>::of_image(&image);
    let result = open(pages, 300).map(|(_, state)| state);
    assert!(
        matches!(
            result,
            Err(OpenError::Mount(MountError::Geometry { .. } | MountError::Moved { .. }))
        ),
        "{result:?}"
    );

    let mut flash = Flash::new(PAGES);
    let other = interstice_core::log::frame::LogHeader { log_id: [1; 16], ..HEADER };
    let mut log = Log::format(&mut flash, other).unwrap();
    let mut state = State::EMPTY;
    for position in 0..120 {
        append(&mut log, &mut state, &commit(position, 0, true), 300).unwrap();
    }
    log.mark().unwrap();
    let foreign = flash.image().to_vec();
    let mut refused = 0;
    for page in 0..PAGES {
        let mut bad = image.clone();
        let bytes = page * PAGE..(page + 1) * PAGE;
        bad[bytes.clone()].copy_from_slice(&foreign[bytes]);
        refused += u32::from(opened(&bad).is_err());
    }
    assert!(refused >= 3, "{refused}");
}

/// A page that begins with a label, and is blank behind it.
fn labelled(index: u16, sequence: u64, back: u32) -> Vec<u8> {
    let mut bytes = sequence.to_le_bytes().to_vec();
    bytes.extend(back.to_le_bytes());
    let checksum = crc32c(crc32c(crc32c(0, b"IFLG"), &index.to_le_bytes()), &bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes.resize(PAGE, 0xff);
    bytes
}

#[test]
fn numbers_at_the_ends_of_their_range_lead_nowhere() {
    // Pages of which only the numbers are good: 0, and the largest one behind which
    // counting would begin again.
    for numbers in [[0, 1], [u64::MAX - 1, u64::MAX], [0, u64::MAX], [2, u64::MAX]] {
        let image = [labelled(0, numbers[0], 0), labelled(1, numbers[1], 1)].concat();
        let mounted = Log::mount(Flash::of_image(&image)).map(drop);
        assert_eq!(mounted, Err(MountError::NoLog { not_blank: None }), "{numbers:?}");
    }
}

#[test]
fn any_image_is_mounted_or_refused() {
    let images = setting("INTERSTICE_FLASH_IMAGES", 2_000);
    let (image, _) = region(120, false);
    for seed in 0..images {
        let mut random = Random::new(seed);
        let mut bad = match seed % 3 {
            0 => (0..image.len()).map(|_| random.next() as u8).collect(),
            _ => image.clone(),
        };
        for _ in 0..random.below(40) {
            let len = 1 + random.below(64) as usize;
            let to = random.below((bad.len() - len) as u64) as usize;
            match random.below(4) {
                0 => bad[to..to + len].fill(0xff),
                1 => bad[to..to + len].fill(0),
                2 => bad[to..to + len].iter_mut().for_each(|byte| *byte = random.next() as u8),
                _ => {
                    let from = random.below((bad.len() - len) as u64) as usize;
                    bad.copy_within(from..from + len, to);
                }
            }
        }
        let mut flash = Flash::of_image(&bad);
        if let Ok((mut log, _)) = Log::mount(&mut flash)
            && let Ok(state) = replay(&mut log)
            && log.needs_snapshot()
        {
            let _ = snapshot(&mut log, &state, 300);
        }
        let read = flash.counters.bytes_read;
        assert!(read <= 2 * image.len() as u64, "seed {seed}: {read} bytes read");
    }
}
