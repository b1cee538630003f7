//! Time and seeds: inputs of a call, recorded, and nothing else decides.

use interstice_core::{Inputs, Timestamp};
use interstice_tests::{
    Fixture,
    fixture::{HEADER, at},
    guest::script::Op,
    random::{Random, derived_seed},
};

use crate::modules::{args, insert, returned, scripted};

fn fixture() -> Fixture {
    Fixture::of(&[&scripted("m", &[])])
}

/// What a script returns that is made of 8-byte results.
fn numbers(result: &[u8]) -> Vec<u64> {
    let words = returned(result).chunks_exact(8);
    words.map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
}

#[test]
fn time_never_goes_backwards() {
    let mut fixture = fixture();
    let mut seen = Vec::new();
    for time in [100, 50, -7, i64::MIN, 100, 101, 90] {
        let called = fixture.call_at("m.run", &args(&[Op::Now]), at(time)).unwrap();
        seen.push(numbers(&called.result)[0]);
        assert_eq!(fixture.state().time(), Timestamp(seen[seen.len() - 1] as i64));
    }
    assert_eq!(seen, [100, 100, 100, 100, 100, 101, 101]);
    let answer = fixture.query("m.ask", &args(&[Op::Now])).unwrap();
    assert_eq!(numbers(&answer.result), [101], "for queries neither");
    let times: Vec<i64> = fixture.records().iter().map(|record| record.time.0).collect();
    assert_eq!(times, [1, 100, 100, 100, 100, 100, 101, 101]);
    fixture.assert_replays();
}

#[test]
fn the_last_moment_there_is_can_be_recorded() {
    let mut fixture = fixture();
    fixture.call_at("m.run", &args(&[Op::Now]), at(i64::MAX)).unwrap();
    fixture.call_at("m.run", &args(&[insert(1, b"")]), at(0)).unwrap();
    assert_eq!(fixture.state().time(), Timestamp(i64::MAX));
    fixture.assert_replays();
}

#[test]
fn a_given_seed_is_recorded_and_decides_the_numbers() {
    let mut fixture = fixture();
    let script = args(&[Op::Random, Op::Random, Op::Random]);
    let mut results = Vec::new();
    for seed in [7, 8, 7, 0, u64::MAX] {
        let inputs = Inputs { time: Timestamp(5), seed: Some(seed) };
        let called = fixture.call_at("m.run", &script, inputs).unwrap();
        let mut random = Random::new(seed);
        assert_eq!(numbers(&called.result), [random.number(), random.number(), random.number()]);
        results.push(called.result);
    }
    assert_eq!(results[0], results[2]);
    assert_ne!(results[0], results[1]);
    let records = fixture.records();
    let seeds: Vec<(u64, bool)> =
        records[1..].iter().map(|record| (record.seed, record.seed_given)).collect();
    assert_eq!(seeds, [(7, true), (8, true), (7, true), (0, true), (u64::MAX, true)]);
    fixture.assert_replays();
}

#[test]
fn without_a_seed_it_follows_from_log_and_position() {
    let mut fixture = fixture();
    for offset in 1..4 {
        let called = fixture.call("m.run", &args(&[Op::Random])).unwrap();
        let expected = Random::new(derived_seed(HEADER.seed, offset)).number();
        assert_eq!(numbers(&called.result), [expected]);
    }
    let record = fixture.records().pop().unwrap();
    assert_eq!((record.seed, record.seed_given), (derived_seed(HEADER.seed, 3), false));
    // A query gets the numbers of the call that could come next.
    let answer = fixture.query("m.ask", &args(&[Op::Random])).unwrap();
    assert_eq!(numbers(&answer.result), [Random::new(derived_seed(HEADER.seed, 4)).number()]);
    fixture.assert_replays();
}

#[test]
fn a_given_seed_costs_eight_bytes_and_a_derived_one_none() {
    let mut fixture = fixture();
    let script = args(&[insert(1, b"")]);
    let len = |fixture: &Fixture| fixture.records().pop().unwrap().len;
    fixture.call_at("m.run", &script, at(5)).unwrap();
    let derived = len(&fixture);
    let mut fixture = self::fixture();
    let inputs = Inputs { seed: Some(1), ..at(5) };
    fixture.call_at("m.run", &script, inputs).unwrap();
    assert_eq!(len(&fixture), derived + 8);
}

#[test]
fn the_same_inputs_make_the_same_log() {
    let run = || {
        let mut fixture = fixture();
        for id in 0..5 {
            let ops = [insert(id, b"x"), Op::Random, Op::Now];
            fixture.call("m.run", &args(&ops)).unwrap();
        }
        fixture.bytes().to_vec()
    };
    assert_eq!(run(), run());
}
