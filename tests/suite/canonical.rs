//! One value, one encoding: NaNs, and everything else that could have two.

use interstice_tests::{Fixture, Function, Guest};

/// `put` inserts its argument; `compute` inserts what dividing zero by zero
/// gives; `same` returns its argument.
fn guest() -> Guest {
    let columns: &[(&str, &str)] = &[
        ("id", "u64"),
        ("double", "f64"),
        ("single", "f32"),
        ("maybe", "option<f64>"),
        ("list", "list<f32>"),
    ];
    Guest::new("floats")
        .table("sample", columns, &[0])
        .reducer(
            Function::new("put").param("row", "Sample").writes(&["sample"]),
            "(call $args_read (i32.const 1024))
             (drop (call $insert (global.get $table.sample) (i32.const 1024) (local.get $len)))",
        )
        .reducer(
            Function::new("update").param("row", "Sample").writes(&["sample"]),
            "(call $args_read (i32.const 1024))
             (drop (call $update (global.get $table.sample) (i32.const 1024) (local.get $len)))",
        )
        .reducer(
            Function::new("compute").param("sign", "f64").returns("f64").writes(&["sample"]),
            "(call $args_read (i32.const 0))
             (f64.store (i32.const 1032) (f64.div (f64.mul (f64.load (i32.const 0)) (f64.const 0))
                (f64.const 0)))
             (f32.store (i32.const 1040) (f32.demote_f64 (f64.sqrt (f64.const -1))))
             (i32.store (i32.const 1053) (i32.const 37))
             (drop (call $insert (global.get $table.sample) (i32.const 1024) (i32.const 37)))
             (call $return_ok (i32.const 1032) (i32.const 8))",
        )
        .reducer(
            Function::new("same").param("value", "f64").returns("f64"),
            "(call $args_read (i32.const 0)) (call $return_ok (i32.const 0) (i32.const 8))",
        )
}

const NAN_64: u64 = 0x7ff8_0000_0000_0000;
const NAN_32: u32 = 0x7fc0_0000;

/// A row with these bits in all its floats.
fn row(double: u64, single: u32) -> Vec<u8> {
    let mut row = 1u64.to_le_bytes().to_vec();
    row.extend_from_slice(&double.to_le_bytes());
    row.extend_from_slice(&single.to_le_bytes());
    row.push(1);
    row.extend_from_slice(&double.to_le_bytes());
    row.extend_from_slice(&37u32.to_le_bytes());
    row.extend_from_slice(&2u32.to_le_bytes());
    row.extend_from_slice(&single.to_le_bytes());
    row.extend_from_slice(&single.to_le_bytes());
    row
}

#[test]
fn every_nan_becomes_the_one() {
    let mut hashes = Vec::new();
    for (double, single) in [
        (NAN_64, NAN_32),
        (0xfff8_0000_0000_0000, 0xffc0_0000),
        (0x7ff0_0000_0000_0001, 0x7f80_0001),
        (0xffff_ffff_ffff_ffff, 0xffff_ffff),
    ] {
        let mut fixture = Fixture::of(&[&guest()]);
        fixture.call("floats.put", &row(double, single)).unwrap();
        let table = fixture.state().table("floats", "sample").unwrap();
        assert_eq!(table.rows().next().unwrap(), row(NAN_64, NAN_32));
        fixture.assert_replays();
        hashes.push(fixture.state().state_hash());
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:x?}");
}

#[test]
fn an_update_from_nan_to_nan_is_no_change() {
    let mut fixture = Fixture::of(&[&guest()]);
    fixture.call("floats.put", &row(0xfff8_0000_0000_0001, 0xffc0_0001)).unwrap();
    fixture.call("floats.update", &row(0x7ff0_0000_0000_0009, 0x7f80_0009)).unwrap();
    assert!(fixture.records().last().unwrap().changes.is_empty());
    fixture.assert_replays();
}

#[test]
fn infinities_zeros_and_subnormals_stay_as_they_are() {
    for (double, single) in [
        (0x8000_0000_0000_0000, 0x8000_0000),
        (0x7ff0_0000_0000_0000, 0x7f80_0000),
        (0xfff0_0000_0000_0000, 0xff80_0000),
        (1, 1),
    ] {
        let mut fixture = Fixture::of(&[&guest()]);
        fixture.call("floats.put", &row(double, single)).unwrap();
        let table = fixture.state().table("floats", "sample").unwrap();
        assert_eq!(table.rows().next().unwrap(), row(double, single));
        fixture.assert_replays();
    }
}

#[test]
fn nans_that_a_guest_computes_are_the_one_too() {
    for sign in [1.0f64, -1.0] {
        let mut fixture = Fixture::of(&[&guest()]);
        let called = fixture.call("floats.compute", &sign.to_le_bytes()).unwrap();
        assert_eq!(called.result, NAN_64.to_le_bytes());
        let table = fixture.state().table("floats", "sample").unwrap();
        let row = table.rows().next().unwrap();
        assert_eq!(row[8..16], NAN_64.to_le_bytes());
        assert_eq!(row[16..20], NAN_32.to_le_bytes());
        fixture.assert_replays();
    }
}

#[test]
fn arguments_and_results_are_canonical() {
    let mut fixture = Fixture::of(&[&guest()]);
    let called = fixture.call("floats.same", &0xfff0_0000_0000_0001u64.to_le_bytes()).unwrap();
    assert_eq!(called.result, NAN_64.to_le_bytes());
    assert_eq!(fixture.records().last().unwrap().args, NAN_64.to_le_bytes());
    fixture.assert_replays();
}

/// Values with two encodings of one meaning, or none.
#[test]
fn rows_that_are_not_canonical_are_refused() {
    let good = row(0, 0);
    let cases: [(usize, u8, &str); 6] = [
        (20, 2, "maybe"),
        (20, 0, "maybe"),
        (29, 36, "list"),
        (29, 38, "list"),
        (33, 3, "list"),
        (33, 1, "byte 41"),
    ];
    let mut fixture = Fixture::of(&[&guest()]);
    for (at, byte, place) in cases {
        let mut bad = good.clone();
        bad[at] = byte;
        // Not zero, so that a cleared tag is a second form of none.
        bad[22] = 1;
        let error = fixture.call("floats.put", &bad).unwrap_err();
        assert!(error.to_string().contains(place), "{error}");
    }
    fixture.call("floats.put", &good).unwrap();
}
