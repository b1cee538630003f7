//! Regions that hold anything, with checksums that are right.

use crate::{
    any_image::AnyImage,
    driver::{Random, setting},
};

#[test]
fn any_edited_image_is_mounted_or_refused() {
    let images = setting("INTERSTICE_FLASH_EDITS", 2_000);
    let mut mounted = 0;
    for seed in 0..images {
        let mut random = Random::new(seed);
        let len = 4 + random.below(20) as usize * 6;
        let input: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        println!("seed {seed}");
        let image = AnyImage::of(&input).expect("it is long enough");
        mounted += u64::from(image.check());
        image.open();
    }
    println!("{mounted} of {images} were mounted");
    assert!(mounted > images / 50 && mounted < images, "{mounted}");
}

#[test]
fn an_unedited_image_is_mounted() {
    for shape in 0..56 {
        for content in [1, 4] {
            for mend in [0, 7] {
                let image = AnyImage::of(&[shape, content, 30, mend]).expect("it is long enough");
                assert!(image.check(), "shape {shape}, content {content}");
                image.open();
            }
        }
    }
}
