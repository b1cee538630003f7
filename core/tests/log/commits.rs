//! Commits: every cause and outcome, with all their parts.

use interstice_core::{
    abi::bytes::DecodeFault,
    log::commit::{Body, Commit, Origin, Outcome, Schedule, Schedules, encode_schedule},
};
use proptest::{collection::vec, prelude::*};

use crate::{
    reference::{BORDERS, cases, varint, with_len},
    refused_commits::refused,
};

const STATE_HASH: u64 = 0x0102_0304_0506_0708;
pub(crate) const SEED: u64 = 0x1112_1314_1516_1718;
pub(crate) const HASH: [u8; 32] = [0xab; 32];
/// Eighteen limits; all but the first are 1.
pub(crate) const LIMITS: [u8; 19] = {
    let mut limits = [1; 19];
    (limits[0], limits[1]) = (0x80, 0x02);
    limits
};

const CALL: Origin<'static> = Origin::Call { module: 1, function: 2, args: b"args" };
const DONE: Outcome<'static> = Outcome::Committed { result: &[] };

fn commit(elapsed: u64, seed: Option<u64>, body: Body<'_>) -> Commit<'_> {
    Commit { elapsed, seed, limits: &[], body, state_hash: STATE_HASH }
}

fn run<'a>(
    origin: Origin<'a>,
    outcome: Outcome<'a>,
    schedules: Schedules<'a>,
    changes: &'a [u8],
) -> Body<'a> {
    Body::Run { origin, outcome, fuel: 300, schedules, changes }
}

/// The bytes of a commit, by hand: the parts in order, and the state hash.
pub(crate) fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    [&parts.concat()[..], &STATE_HASH.to_le_bytes()].concat()
}

/// Checks that a commit has these bytes, and that they are that commit.
#[track_caller]
fn check(commit: &Commit<'_>, expected: &[u8]) {
    let mut encoded = b"before".to_vec();
    commit.encode(&mut encoded);
    assert_eq!(encoded, [b"before", expected].concat());
    assert_eq!(Commit::decode(expected).as_ref(), Ok(commit));
}

#[test]
fn a_call_is_encoded_as_the_format_says() {
    let args = with_len(b"args");
    let fuel = varint(300);
    let body = run(CALL, DONE, Schedules::default(), b"changes");
    check(&commit(5, None, body.clone()), &bytes(&[&[0, 5, 1, 2], &args, &fuel, b"changes"]));
    let seed = SEED.to_le_bytes();
    check(
        &commit(5, Some(SEED), body),
        &bytes(&[&[0x08, 5], &seed, &[1, 2], &args, &fuel, b"changes"]),
    );
    let limited = Commit {
        limits: &LIMITS,
        ..commit(5, Some(SEED), run(CALL, DONE, Schedules::default(), b""))
    };
    let limits = with_len(&LIMITS);
    check(&limited, &bytes(&[&[0x88, 5], &seed, &limits, &[1, 2], &args, &fuel]));
    let result = Outcome::Committed { result: b"result" };
    check(
        &commit(5, None, run(CALL, result, Schedules::default(), b"")),
        &bytes(&[&[0x10, 5, 1, 2], &args, &with_len(b"result"), &fuel]),
    );
}

#[test]
fn subscriptions_and_scheduled_calls_are_encoded_as_the_format_says() {
    let fuel = varint(300);
    for (cause, origin) in [(1, Origin::Subscription), (2, Origin::Schedule)] {
        let done = run(origin, DONE, Schedules::default(), b"changes");
        check(&commit(0, None, done), &bytes(&[&[cause, 0], &fuel, b"changes"]));
        let result = Outcome::Committed { result: b"r" };
        let body = run(origin, result, Schedules::default(), b"");
        let expected = bytes(&[&[cause | 0x18, 0], &SEED.to_le_bytes(), b"\x01r", &fuel]);
        check(&commit(0, Some(SEED), body), &expected);
        // Only a typed error carries more than its code.
        for code in 1..=5 {
            let error: &[u8] = if code == 1 { b"typed" } else { b"" };
            let failed = Outcome::Failed { code, error };
            let body = run(origin, failed, Schedules::default(), b"");
            let error = if code == 1 { with_len(error) } else { Vec::new() };
            let expected = bytes(&[&[cause | 0x20, 0, code], &error, &fuel]);
            check(&commit(0, None, body), &expected);
        }
    }
}

#[test]
fn the_error_of_a_failure_that_has_none_is_not_written() {
    let failed = Outcome::Failed { code: 3, error: b"ignored" };
    let body = run(Origin::Schedule, failed, Schedules::default(), b"");
    let mut encoded = Vec::new();
    commit(0, None, body).encode(&mut encoded);
    assert_eq!(encoded, bytes(&[&[0x22, 0, 3], &varint(300)]));
}

#[test]
fn an_installation_is_encoded_as_the_format_says() {
    let body = Body::Install { content_hash: &HASH, wasm_len: 70_000, schema: b"schema" };
    let rest = [&HASH[..], &varint(70_000), &with_len(b"schema")].concat();
    check(&commit(9, None, body.clone()), &bytes(&[&[3, 9], &rest]));
    check(&commit(9, Some(SEED), body), &bytes(&[&[0x0b, 9], &SEED.to_le_bytes(), &rest]));
}

#[test]
fn a_repair_is_encoded_as_the_format_says() {
    for takes_schedule in [false, true] {
        let body = Body::Repair { takes_schedule, changes: b"changes" };
        let expected = bytes(&[&[4, 9, u8::from(takes_schedule)], b"changes"]);
        check(&commit(9, None, body), &expected);
    }
}

#[test]
fn schedules_are_encoded_in_order_as_the_format_says() {
    let schedules = [
        Schedule { module: 0, function: 128, after: 0, args: b"" },
        Schedule { module: 300, function: 1, after: 64, args: b"args" },
        Schedule { module: u32::MAX, function: u32::MAX, after: i64::MAX, args: &[7; 200] },
    ];
    let expected: Vec<u8> = schedules
        .iter()
        .flat_map(|schedule| {
            let numbers = [schedule.module, schedule.function].map(|n| varint(u64::from(n)));
            // Zigzag: twice the number, where it is not negative.
            let after = varint(schedule.after as u64 * 2);
            [&numbers.concat()[..], &after, &with_len(schedule.args)].concat()
        })
        .collect();
    let mut encoded = Vec::new();
    schedules.iter().for_each(|schedule| encode_schedule(schedule, &mut encoded));
    assert_eq!(encoded, expected);
    let all = Schedules::from_encoded(3, &encoded);
    assert_eq!(all.iter().collect::<Vec<_>>(), schedules);
    assert_eq!(Schedules::default().iter().count(), 0);
    let fuel = varint(300);
    let body = run(Origin::Subscription, DONE, all, b"changes");
    check(&commit(1, None, body), &bytes(&[&[0x41, 1], &fuel, &[3], &encoded, b"changes"]));
    // Together with everything else that a tag can say.
    let body = run(CALL, Outcome::Committed { result: b"r" }, all, b"changes");
    let head = [&[0x58, 1], &SEED.to_le_bytes()[..], &[1, 2], b"\x04args\x01r", &fuel].concat();
    check(&commit(1, Some(SEED), body), &bytes(&[&head, &[3], &encoded, b"changes"]));
}

#[test]
fn a_time_before_the_commits_own_is_zigzag_encoded() {
    for (after, expected) in [(-1, vec![1]), (-64, vec![127]), (i64::MIN, varint(u64::MAX))] {
        let mut encoded = Vec::new();
        encode_schedule(&Schedule { module: 0, function: 0, after, args: b"" }, &mut encoded);
        assert_eq!(encoded, [&[0, 0], &expected[..], &[0]].concat());
    }
}

#[test]
fn numbers_are_varints_up_to_the_largest() {
    for number in BORDERS {
        let body = Body::Run {
            origin: Origin::Subscription,
            outcome: DONE,
            fuel: number,
            schedules: Schedules::default(),
            changes: b"",
        };
        let expected = bytes(&[&[1], &varint(number), &varint(number)]);
        check(&commit(number, None, body), &expected);
        let module = varint(number);
        let call = bytes(&[&[0, 0], &module, &module, &[0, 0]]);
        match u32::try_from(number) {
            Ok(number) => {
                let origin = Origin::Call { module: number, function: number, args: b"" };
                let Ok(read) = Commit::decode(&call) else { panic!("{number}") };
                assert!(matches!(read.body, Body::Run { origin: read, .. } if read == origin));
            }
            Err(_) => refused(&call, DecodeFault::Varint, 2),
        }
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_commit_is_read_back_as_it_was(
        (elapsed, fuel, seed) in (any::<u64>(), any::<u64>(), proptest::option::of(any::<u64>())),
        (cause, with_limits) in (0..3_usize, any::<bool>()),
        (result, changes) in (vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..20)),
        args in vec(vec(any::<u8>(), 0..20), 0..3),
    ) {
        let origin = [CALL, Origin::Subscription, Origin::Schedule][cause];
        let mut encoded = Vec::new();
        for args in &args {
            let schedule = Schedule { module: 1, function: 2, after: fuel as i64, args };
            encode_schedule(&schedule, &mut encoded);
        }
        let body = Body::Run {
            origin,
            outcome: Outcome::Committed { result: &result },
            fuel,
            schedules: Schedules::from_encoded(args.len() as u32, &encoded),
            changes: &changes,
        };
        let limits = if with_limits { &LIMITS[..] } else { &[] };
        let commit = Commit { elapsed, seed, limits, body, state_hash: fuel ^ elapsed };
        let mut bytes = Vec::new();
        commit.encode(&mut bytes);
        prop_assert_eq!(Commit::decode(&bytes), Ok(commit));
    }

    #[test]
    fn what_is_read_is_written_in_the_same_bytes(bytes in vec(any::<u8>(), 0..60), tag in any::<u8>()) {
        let bytes = [&[tag], &bytes[..]].concat();
        if let Ok(commit) = Commit::decode(&bytes) {
            let mut again = Vec::new();
            commit.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}
