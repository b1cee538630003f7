//! Images with several regions, and with regions of other versions.

use interstice_embedded::{
    flash_log::image::{ImageError, has_page, open_image},
    mock_flash::MockFlash,
};

use crate::driver::{HEADER, Log, State, append, commit};

const PAGE: usize = 512;

/// A region with so many commits, of the log with this identity.
fn region(id: u8, commits: u64) -> Vec<u8> {
    let mut flash = MockFlash::<4, PAGE>::new(8);
    let header = interstice_core::log::frame::LogHeader { log_id: [id; 16], ..HEADER };
    let mut log = Log::format(&mut flash, header).unwrap();
    let mut state = State::EMPTY;
    for position in 0..commits {
        append(&mut log, &mut state, &commit(position, 0, true), 300).unwrap();
    }
    flash.image().to_vec()
}

/// The same, in one place so that it is not mounted.
fn damaged(mut region: Vec<u8>) -> Vec<u8> {
    let at = (96..region.len()).find(|at| {
        region[*at] ^= 0xa5;
        let is_refused = Log::mount(MockFlash::<4, PAGE>::of_image(&region)).is_err();
        region[*at] ^= 0xa5;
        is_refused
    });
    region[at.expect("a place that matters")] ^= 0xa5;
    region
}

#[test]
fn of_several_logs_none_is_taken_unless_it_is_said_which() {
    let chip = [vec![0; 1024], region(1, 5), vec![7; 256], region(2, 9)].concat();
    let (first, second) = (1024, 1024 + 8 * PAGE + 256);
    let Err(error @ ImageError::Several(_)) = open_image(&chip, None).map(|found| found.at) else {
        panic!("there are two");
    };
    let text = error.to_string();
    assert!(
        text.contains(&format!("from byte {first} on, 8 pages of 512 bytes: 010101")),
        "{text}"
    );
    assert!(
        text.contains(&format!("from byte {second} on, ")) && text.contains("commit 9"),
        "{text}"
    );
    for (at, commits) in [(first, 5), (second, 9)] {
        let found = open_image(&chip, Some(at)).map_err(|error| error.to_string()).unwrap();
        assert_eq!((found.at, found.log.next_offset().0), (at, commits));
    }
    let nowhere = open_image(&chip, Some(512)).map(|found| found.at);
    assert!(
        matches!(&nowhere, Err(ImageError::NotThere { at: 512, regions }) if regions.len() == 2)
    );
}

#[test]
fn a_damaged_region_does_not_hide_a_good_one() {
    let (stale, good) = (damaged(region(1, 5)), region(2, 9));
    for chip in [[stale.clone(), good.clone()].concat(), [good, stale.clone()].concat()] {
        let found = open_image(&chip, None).map_err(|error| error.to_string()).unwrap();
        assert_eq!(found.log.next_offset().0, 9);
        assert_eq!(found.left_aside.len(), 1);
        assert_ne!(found.left_aside[0].0, found.at);
    }
    let alone = open_image(&stale, None).map(|found| found.at);
    assert!(matches!(alone, Err(ImageError::Mount { at: 0, .. })), "{alone:?}");
}

#[test]
fn another_version_of_the_format_is_named() {
    let mut newer = region(1, 5);
    for page in newer.chunks_mut(PAGE).filter(|page| page[0] != 0xff) {
        page[16..18].copy_from_slice(&2u16.to_le_bytes());
    }
    let error = open_image(&newer, None).map(|found| found.at).unwrap_err();
    assert!(matches!(error, ImageError::Version { found: 2, .. }), "{error:?}");
    assert!(has_page(&newer));
    // Where ours is too, it is taken.
    let both = [newer, region(2, 9)].concat();
    assert!(open_image(&both, None).is_ok());
    assert!(!has_page(&[0xff; 4096]) && !has_page(b"log 4096 512\n"));
}
