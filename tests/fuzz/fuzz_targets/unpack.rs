//! Packed bytes are refused, or make a canonical value; so do the columns of
//! an update.
#![no_main]

use interstice_abi::{
    bytes::Reader,
    packed::{changed_columns, merge_columns, pack_columns, unpack},
};
use interstice_fuzz::Table;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let Some(Table { row, .. }) = Table::take(&mut input) else { return };
    let mut reader = Reader::new(input);
    let mut old = Vec::new();
    if unpack(&row, &mut reader, &mut old, LIMIT).is_err() {
        assert!(old.is_empty());
        return;
    }
    let mut checked = old.clone();
    assert_eq!(row.check(&mut checked), Ok(()));
    assert_eq!(checked, old);

    // What follows is the columns of an update.
    let Ok(mask) = reader.byte() else { return };
    let mut new = Vec::new();
    if merge_columns(&row, &old, mask.into(), &mut reader, &mut new, LIMIT).is_err() {
        assert!(new.is_empty());
        return;
    }
    let mut checked = new.clone();
    assert_eq!(row.check(&mut checked), Ok(()));
    assert_eq!(checked, new);

    let changed = changed_columns(&row, &old, &new);
    assert_eq!(changed & !u64::from(mask), 0);
    let (mut packed, mut again) = (Vec::new(), Vec::new());
    pack_columns(&row, &new, changed, &mut packed).expect("it was checked");
    let mut reader = Reader::new(&packed);
    merge_columns(&row, &old, changed, &mut reader, &mut again, LIMIT).expect("it was packed");
    assert_eq!(again, new);
});
