//! Bytes are refused, or are one canonical value: decoding and encoding it
//! gives the same bytes, and so do packing and unpacking it.
#![no_main]

use interstice_abi::{
    bytes::Reader,
    packed::{changed_columns, pack, unpack},
};
use interstice_fuzz::Table;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let Some(Table { row, .. }) = Table::take(&mut input) else { return };
    let mut value = input.to_vec();
    if let Err(error) = row.check(&mut value) {
        assert!(row.decode(input).is_err());
        assert!(error.at <= input.len());
        // What was not checked does no harm.
        let _ = pack(&row, input, &mut Vec::new());
        return;
    }
    let tree = row.decode(input).expect("it was checked");
    let mut again = Vec::new();
    row.encode(&tree, &mut again).expect("it was decoded");
    assert_eq!(again, value);

    let (mut packed, mut unpacked) = (Vec::new(), Vec::new());
    pack(&row, &value, &mut packed).expect("it was checked");
    let mut reader = Reader::new(&packed);
    unpack(&row, &mut reader, &mut unpacked, value.len()).expect("it was packed");
    assert_eq!(reader.finish(), Ok(()));
    assert_eq!(unpacked, value);
    assert_eq!(changed_columns(&row, &value, &unpacked), 0);
});
