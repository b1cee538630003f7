//! The description of a scan is refused, or makes a range that a map accepts
//! and a filter that comes to an end on any row.
#![no_main]

use std::collections::BTreeMap;

use interstice_abi::{filter::Scan, key::Key};
use interstice_fuzz::Table;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let Some(Table { row, key }) = Table::take(&mut input) else { return };
    let Some((&len, rest)) = input.split_first() else { return };
    let Some((value, scan)) = rest.split_at_checked(len.into()) else { return };
    let Ok(scan) = Scan::check(scan, &row, &key) else { return };

    let rows: BTreeMap<Key, ()> = BTreeMap::new();
    assert_eq!(rows.range::<Key, _>((scan.lower(), scan.upper())).count(), 0);

    // A row that was not checked does no harm; one that was, matches as its copy.
    let mut value = value.to_vec();
    let matches = scan.matches(&value);
    if row.check(&mut value).is_ok() {
        assert_eq!(scan.matches(&value), scan.matches(&value.clone()));
        let mut bytes = Key::new();
        key.from_row(&value, &mut bytes);
    } else {
        let _ = matches;
    }
});
