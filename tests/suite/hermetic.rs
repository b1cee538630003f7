//! A call knows nothing of the calls before it but what is in tables.

use interstice_tests::{
    Fixture, Function, Guest,
    guest::script::{MEMORY, Op},
};

use crate::modules::{args, fail, returned, scripted};

const ZEROS: [u8; 8] = [0; 8];

fn remembered(fixture: &mut Fixture) -> Vec<u8> {
    let called = fixture.call("m.run", &args(&[Op::Remember])).unwrap();
    returned(&called.result).to_vec()
}

#[test]
fn memory_and_globals_are_as_new_before_every_call() {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    for _ in 0..3 {
        assert_eq!(remembered(&mut fixture), ZEROS);
    }
    fixture.call("m.run", &args(&[Op::Remember, fail("no")])).unwrap_err();
    assert_eq!(remembered(&mut fixture), ZEROS, "behind an error");
    for bomb in [Op::Trap, Op::Spin, Op::Recurse, Op::Panic(b"!".to_vec())] {
        fixture.call("m.run", &args(&[Op::Remember, bomb])).unwrap_err();
        assert_eq!(remembered(&mut fixture), ZEROS, "behind a trap");
    }
    fixture.query("m.ask", &args(&[Op::Remember])).unwrap();
    assert_eq!(remembered(&mut fixture), ZEROS, "behind a query");
    fixture.assert_replays();
}

#[test]
fn memory_that_grew_is_small_again() {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    for _ in 0..2 {
        let called = fixture.call("m.run", &args(&[Op::Grow(1_000), Op::Grow(0)])).unwrap();
        let sizes = [MEMORY.to_le_bytes(), (MEMORY + 1_000).to_le_bytes()].concat();
        assert_eq!(returned(&called.result), sizes);
    }
    assert_eq!(remembered(&mut fixture), ZEROS);
    fixture.assert_replays();
}

/// Overwrites all of its memory, and returns how much of it was not as the
/// file says: two texts, and zeros.
fn scribbler() -> Guest {
    Guest::new("scribbler")
        .memory(4096)
        .code(
            r#"(data (i32.const 100) "first")
               (data (i32.const 110) "close by")
               (data (i32.const 4090) "at end")
               (global $number (export "number") (mut i64) (i64.const -7))
               (global $ratio (export "ratio") (mut f64) (f64.const 0.5))
               (global $small (export "small") (mut f32) (f32.const 1.5))
               (func $sum (result i32) (local $at i32) (local $sum i32)
                    (loop $next
                        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31))
                            (i32.load8_u (local.get $at))))
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (br_if $next (i32.lt_u (local.get $at) (i32.const 4096))))
                    (local.get $sum))"#,
        )
        .reducer(
            Function::new("scribble").returns("i64"),
            "(local $sum i32)
             (local.set $sum (call $sum))
             (memory.fill (i32.const 0) (i32.const 0xa5) (i32.const 4096))
             (i64.store (i32.const 8) (i64.add (i64.extend_i32_u (local.get $sum))
                (i64.add (global.get $number) (i64.add
                    (i64.reinterpret_f64 (global.get $ratio))
                    (i64.extend_i32_u (i32.reinterpret_f32 (global.get $small)))))))
             (global.set $number (i64.const 99))
             (global.set $ratio (f64.const 9))
             (global.set $small (f32.const 9))
             (call $return_ok (i32.const 8) (i32.const 8))",
        )
}

#[test]
fn data_and_globals_of_every_type_are_put_back() {
    let mut fixture = Fixture::of(&[&scribbler()]);
    let first = fixture.call("scribbler.scribble", &[]).unwrap();
    for _ in 0..3 {
        let again = fixture.call("scribbler.scribble", &[]).unwrap();
        assert_eq!((&again.result, again.fuel), (&first.result, first.fuel));
    }
    // A new instance, made from the file, starts the same.
    let mut reopened = fixture.reopened();
    assert_eq!(reopened.call("scribbler.scribble", &[]).unwrap().result, first.result);
    fixture.assert_replays();
}

#[test]
fn fuel_is_the_same_for_the_same_call() {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    let mut fuel = |ops: &[Op]| fixture.call("m.run", &args(ops)).unwrap().fuel;
    let first = fuel(&[Op::Now, Op::Random]);
    assert_eq!(fuel(&[Op::Now, Op::Random]), first, "the first call is not charged for more");
    assert_eq!(fuel(&[Op::Random, Op::Now]), first);
    assert!(fuel(&[Op::Now]) < first);
}
