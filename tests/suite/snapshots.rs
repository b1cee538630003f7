//! Snapshots: the same state again, or an error that says where.

use interstice_core::{
    CommittedState, Limits, Runtime,
    abi::bytes::{DecodeFault, write_varint_u64},
    log::frame::SegmentHeader,
    snapshot::{SnapshotError, SnapshotFault, SnapshotPlace},
};
use interstice_tests::{
    Fixture, Function, Guest,
    fixture::{at, commits},
    guest::{on_insert, script},
    properties::{assert_same, assert_snapshot, decode_snapshot, snapshot},
    simulation,
};
use xxhash_rust::xxh64::xxh64;

use crate::modules::{
    args, delete, insert, insert_into, on_row, row, schedule, script as script_of, scripted,
};

const COLUMNS: &[(&str, &str)] = &[("id", "u64"), ("data", "bytes")];

/// Rows of `note` are scripts that run.
fn guest() -> Guest {
    scripted("m", &[]).reducer(on_row("on_note", "Note").on(on_insert("note")), &script::run_row())
}

/// Its tables, functions and subscriptions are numbered otherwise than those
/// of [`guest`].
fn upgraded() -> Guest {
    guest().table("aaa", COLUMNS, &[0]).reducer(Function::new("aaa").writes(&["aaa"]), "")
}

/// Waits for another module's rows.
fn other() -> Guest {
    scripted("other", &[]).numbered("audit", &[("id", "u64"), ("kind", "u8"), ("args", "bytes")])
}

/// What a crash leaves in the middle of everything: upgraded modules, scheduled
/// calls, and subscriptions of two kinds that still wait.
fn interrupted() -> Fixture {
    let mut fixture = Fixture::of(&[&guest(), &other()]);
    let ops = [insert(1, b"one"), insert(2, b"two"), schedule(5_000, &[insert(8, b"later")])];
    fixture.call("m.run", &args(&ops)).unwrap();
    fixture.call("other.run", &args(&[insert_into("note", 0, b"")])).unwrap();
    fixture.install(&upgraded()).unwrap();
    let leaf = script_of(&[insert(4, b"by a subscription")]);
    let trapping = script_of(&[script::Op::Trap]);
    let ops = [
        insert_into("note", 0, &leaf),
        insert_into("note", 0, &trapping),
        schedule(4_000, &[delete(1)]),
        schedule(4_000, &[insert(9, b"")]),
    ];
    let called = fixture.call("m.run", &args(&ops)).unwrap();
    let cut = fixture.cut(called.offset.0 as usize + 1);
    assert_eq!((cut.state().pending(), cut.state().scheduled()), (2, 3));
    cut
}

fn decode(content: &[u8]) -> Result<CommittedState, SnapshotError> {
    decode_snapshot(&Limits::default(), [content])
}

fn fault(content: &[u8]) -> SnapshotFault {
    decode(content).expect_err("it is bad").fault
}

/// The content with the checksum of what it says.
fn summed(mut content: Vec<u8>) -> Vec<u8> {
    let end = content.len() - 8;
    let checksum = xxh64(&content[..end], 0);
    content[end..].copy_from_slice(&checksum.to_le_bytes());
    content
}

/// Where `part` begins in `content`, which has it once.
fn find(content: &[u8], part: &[u8]) -> usize {
    let mut found = (0..content.len()).filter(|&at| content[at..].starts_with(part));
    let at = found.next().expect("it is in there");
    assert_eq!(found.next(), None, "it is in there once");
    at
}

/// The content with another part of the same length.
fn replaced(content: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    assert_eq!(part.len(), by.len());
    let at = find(content, part);
    let mut content = content.to_vec();
    content[at..at + by.len()].copy_from_slice(by);
    summed(content)
}

#[test]
fn every_state_of_a_history_comes_back_and_replays_on() {
    let code = |state: &CommittedState| state.module("work").map(|work| *work.content_hash());
    let (mut waiting, mut scheduled, mut upgrades) = (0, 0, 0);
    for seed in 0..50 {
        let log = simulation::history(seed, 40);
        let header = SegmentHeader::decode(&log).unwrap().log;
        let mut live = CommittedState::new(header.seed, simulation::limits());
        let mut decoded = assert_snapshot(&live, seed);
        for (offset, commit) in commits(&log) {
            let before = code(&live);
            live.replay(offset, &commit).unwrap();
            decoded.replay(offset, &commit).unwrap();
            assert_same(&live, &decoded);
            decoded = assert_snapshot(&decoded, offset.0);
            upgrades += usize::from(before.is_some() && code(&live) != before);
            waiting += live.pending();
            scheduled += live.scheduled();
        }
    }
    assert!(waiting > 500 && scheduled > 500, "{waiting} waiting, {scheduled} scheduled");
    assert!(upgrades > 5, "{upgrades} upgrades");
}

#[test]
fn a_decoded_state_goes_on_as_the_live_one_does() {
    let mut live = interrupted().runtime;
    let decoded = assert_snapshot(live.state(), 1);
    let mut runtime = Runtime::new(decoded, live.log().clone());
    for guest in [upgraded(), other()] {
        runtime.attach(&guest.wasm()).unwrap();
    }
    for runtime in [&mut live, &mut runtime] {
        assert_eq!(runtime.drain(at(3_000)).unwrap().len(), 1, "one of the two traps");
        let run = runtime.reducer("m", "run").unwrap();
        let chain = script_of(&[insert(20, b"behind")]);
        let ops = [insert_into("note", 0, &chain), schedule(6_000, &[delete(20)])];
        runtime.call(run, &args(&ops), at(3_001)).unwrap();
        runtime.run_due(at(4_500)).unwrap();
        // Upgrades number tables, functions and what is scheduled anew.
        let again = upgraded().table("abb", COLUMNS, &[0]);
        runtime.install(&again.wasm(), at(4_600)).unwrap();
        runtime.install(&scripted("third", &[]).wasm(), at(4_601)).unwrap();
        runtime.run_due(at(7_000)).unwrap();
        let run = runtime.reducer("m", "run").unwrap();
        runtime.call(run, &args(&[insert_into("note", 0, b"")]), at(7_001)).unwrap();
    }
    assert_same(live.state(), runtime.state());
    assert!(live.log().bytes() == runtime.log().bytes(), "the logs differ");
}

#[test]
fn pieces_may_be_cut_anywhere() {
    let cut = interrupted();
    let content = snapshot(cut.state());
    for len in [1, 2, 3, 7, 64, content.len()] {
        let state = decode_snapshot(&Limits::default(), content.chunks(len)).unwrap();
        assert_same(cut.state(), &state);
    }
    for at in 0..content.len() {
        let (head, tail) = content.split_at(at);
        let state = decode_snapshot(&Limits::default(), [head, &[], tail]).unwrap();
        assert_eq!(state.state_hash(), cut.state().state_hash());
    }
}

#[test]
fn pieces_are_small_unless_a_row_is_not() {
    let mut fixture = Fixture::of(&[&guest()]);
    let large = vec![7; 60_000];
    for id in 0..200 {
        let data = if id == 100 { &large[..] } else { &[1; 100] };
        fixture.call("m.run", &args(&[insert(id, data)])).unwrap();
    }
    let mut lengths = Vec::new();
    let written = fixture.state().encode_snapshot(&mut |piece| {
        lengths.push(piece.len());
        Ok::<(), ()>(())
    });
    assert_eq!(written, Ok(()));
    assert!(lengths.len() > 5, "{lengths:?}");
    let long: Vec<_> = lengths.iter().filter(|&&len| len > 4096).collect();
    assert_eq!(long, [&row(100, &large).len()], "the large row is a piece of its own");
    assert_snapshot(fixture.state(), 3);
}

#[test]
fn the_first_error_of_the_writer_ends_the_encoding() {
    let mut fixture = Fixture::of(&[&guest()]);
    for id in 0..100 {
        fixture.call("m.run", &args(&[insert(id, &[1; 100])])).unwrap();
    }
    let mut calls = 0;
    let written = fixture.state().encode_snapshot(&mut |_| {
        calls += 1;
        if calls == 2 { Err("full") } else { Ok(()) }
    });
    assert_eq!((written, calls), (Err("full"), 2));
}

#[test]
fn a_snapshot_that_ends_early_is_incomplete_wherever_it_ends() {
    let content = snapshot(interrupted().state());
    for len in 0..content.len() {
        assert_eq!(fault(&content[..len]), SnapshotFault::Missing, "{len} bytes");
    }
    let mut longer = content;
    longer.push(0);
    let error = decode(&longer).unwrap_err();
    assert_eq!(error.to_string(), "snapshot, end: bytes follow where the snapshot ends");
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let mut content = snapshot(interrupted().state());
    for bit in 0..content.len() * 8 {
        content[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&content).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
        content[bit / 8] ^= 1 << (bit % 8);
    }
    decode(&content).unwrap();
}

#[test]
fn a_forged_snapshot_is_refused_or_is_what_its_state_encodes_to() {
    let content = snapshot(interrupted().state());
    let end = content.len() - 16;
    let mut accepted = 0;
    for (at, change) in (0..end).flat_map(|at| [1, 2, 0x80, 0xff].map(|change| (at, change))) {
        let mut forged = content.clone();
        forged[at] ^= change;
        let mut decoded = decode(&summed(forged.clone()));
        if let Err(SnapshotError { fault: SnapshotFault::StateHash { computed, .. }, .. }) = decoded
        {
            forged[end..end + 8].copy_from_slice(&computed.to_le_bytes());
            decoded = decode(&summed(forged.clone()));
        }
        let Ok(state) = decoded else { continue };
        accepted += 1;
        assert!(snapshot(&state) == summed(forged), "byte {at}, changed by {change}");
    }
    assert!(accepted > 500, "{accepted} forged snapshots are states");
}

#[test]
fn rows_out_of_order_are_refused_with_their_place() {
    let content = snapshot(interrupted().state());
    let (one, two) = (row(1, b"one"), row(2, b"two"));
    let swapped = replaced(&content, &one, &row(3, b"one"));
    let place = SnapshotPlace::Row { table: "m.item".into(), row: 1 };
    let error = SnapshotError { place, fault: SnapshotFault::Order };
    assert_eq!(decode(&swapped).unwrap_err(), error);
    let twice = replaced(&content, &two, &row(1, b"two"));
    assert_eq!(decode(&twice).unwrap_err(), error);
    assert_eq!(
        error.to_string(),
        "snapshot, row 1 of table `m.item`: it does not belong behind the one before it"
    );
}

#[test]
fn rows_that_are_no_rows_are_refused_with_their_place() {
    let content = snapshot(interrupted().state());
    let good = row(2, b"two");
    let mut bad = good.clone();
    bad[8] = 17;
    let error = decode(&replaced(&content, &good, &bad)).unwrap_err();
    assert_eq!(error.place, SnapshotPlace::Row { table: "m.item".into(), row: 1 });
    assert!(matches!(error.fault, SnapshotFault::Value(_)), "{error}");
}

#[test]
fn a_next_number_that_rows_have_passed_is_refused() {
    // The name, and behind it the next number.
    let head = |next: u64| [b"\x05audit".as_slice(), &next.to_le_bytes()].concat();
    let content = snapshot(interrupted().state());
    let number = replaced(&content, &head(1), &head(3));
    assert!(matches!(fault(&number), SnapshotFault::StateHash { .. }), "any number may be next");

    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    fixture.call("m.run", &args(&[insert_into("note", 0, b""), insert(7, b"")])).unwrap();
    let content = snapshot(fixture.state());
    let head = |name: &str, next: u64, rows: u8| {
        [&[name.len() as u8], name.as_bytes(), &next.to_le_bytes(), &[rows]].concat()
    };
    let used = replaced(&content, &head("note", 2, 1), &head("note", 1, 1));
    assert_eq!(fault(&used), SnapshotFault::Number, "the row has number 1");
    // Its key is its number, and then the row has none.
    let text = b"";
    let (numbered, unnumbered) = (row(1, text), row(0, text));
    assert_eq!(fault(&replaced(&content, &numbered, &unnumbered)), SnapshotFault::Number);
    let without = replaced(&content, &head("item", 1, 1), &head("item", 2, 1));
    assert_eq!(fault(&without), SnapshotFault::Number, "the table numbers nothing");
}

#[test]
fn a_nan_must_be_the_canonical_one() {
    let guest = Guest::new("m")
        .memory(4096)
        .table("point", &[("id", "u8"), ("value", "f64")], &[0])
        .reducer(
            Function::new("put").param("row", "Point").writes(&["point"]),
            "(call $args_read (i32.const 0))
             (drop (call $insert (global.get $table.point) (i32.const 0) (i32.const 9)))",
        );
    let mut fixture = Fixture::of(&[&guest]);
    let point = |bits: u64| [&[9u8][..], &bits.to_le_bytes()].concat();
    fixture.call("m.put", &point(f64::NAN.to_bits())).unwrap();
    let content = snapshot(fixture.state());
    let forged = replaced(&content, &point(0x7ff8 << 48), &point(0x7ff9 << 48));
    assert_eq!(fault(&forged), SnapshotFault::NotCanonical);
}

#[test]
fn tables_must_be_those_of_the_schemas() {
    let content = snapshot(interrupted().state());
    // The owner's number, the name, the next number, no row.
    let head = |owner: u8, name: &str| {
        let name = [&[owner, name.len() as u8], name.as_bytes()].concat();
        [&name[..], &1u64.to_le_bytes(), &[0]].concat()
    };
    let place = |content: &[u8]| decode(content).unwrap_err();
    let unknown = place(&replaced(&content, &head(0, "aaa"), &head(0, "aab")));
    assert_eq!(
        (unknown.place, unknown.fault),
        (SnapshotPlace::Table(5), SnapshotFault::UnknownTable)
    );
    let stranger = place(&replaced(&content, &head(0, "aaa"), &head(7, "aaa")));
    assert_eq!(stranger.fault, SnapshotFault::UnknownTable);
    // The other module's `item` is empty, its `note` is not.
    let twice = place(&replaced(&content, &head(1, "item"), &head(1, "note")));
    assert_eq!(
        (twice.place, twice.fault),
        (SnapshotPlace::Table(4), SnapshotFault::DuplicateTable)
    );

    let last = find(&content, &head(0, "aaa"));
    let mut without = content;
    without.drain(last..last + head(0, "aaa").len());
    let count = find(&without, b"\x06\x00\x04item");
    without[count] = 5;
    let missing = place(&without);
    assert_eq!(missing.to_string(), "snapshot, modules: table `m.aaa` is missing");
}

#[test]
fn modules_must_be_installable_together() {
    let two = Fixture::of(&[&scripted("m", &[]), &scripted("n", &[])]);
    let mut content = snapshot(two.state());
    // Every name stands behind its length.
    for at in 1..content.len() {
        if content[at - 1..=at] == *b"\x01n" {
            content[at] = b'm';
        }
    }
    let error = decode(&content).unwrap_err();
    assert_eq!(error.place, SnapshotPlace::Module(1));
    assert_eq!(error.fault, SnapshotFault::DuplicateModule);

    let caller = scripted("n", &[(&scripted("m", &[]), "run")]);
    let content = snapshot(Fixture::of(&[&scripted("m", &[]), &caller]).state());
    let mut signature = Vec::new();
    let called = caller.schema().reducer("run").unwrap().calls[0].signature;
    write_varint_u64(&mut signature, called);
    let mut forged = content.clone();
    for at in 0..content.len() {
        forged[at] ^= u8::from(content[at..].starts_with(&signature));
    }
    assert_ne!(forged, content);
    let error = decode(&forged).unwrap_err();
    assert_eq!(error.place, SnapshotPlace::Modules);
    assert!(error.to_string().contains("was built for another version of `m.run`"), "{error}");
}

#[test]
fn another_version_is_refused_as_such() {
    let mut content = snapshot(interrupted().state());
    content[0] = 2;
    let error = decode(&content).unwrap_err();
    assert_eq!(error.to_string(), "snapshot, head: its format is version 2, this program reads 1");
}

#[test]
fn a_length_beyond_every_limit_is_refused_before_anything_comes() {
    let content = snapshot(interrupted().state());
    let at = find(&content, &row(1, b"one")) - 1;
    let head = [&content[..at], &[0x81, 0x80, 0x80, 0x08]].concat();
    assert_eq!(fault(&head), SnapshotFault::Decode(DecodeFault::TooLarge));
    let head = [&content[..at], &[0x80, 0x80, 0x80, 0x08]].concat();
    assert_eq!(fault(&head), SnapshotFault::Missing, "16 MiB may still come");
}

#[test]
fn after_an_error_every_piece_has_the_same_error() {
    use interstice_core::snapshot::SnapshotDecoder;
    let mut decoder = SnapshotDecoder::new(Limits::default());
    let error = decoder.push(&[9]).unwrap_err();
    assert_eq!(decoder.push(&[1]).unwrap_err(), error);
    assert_eq!(decoder.finish().unwrap_err(), error);
}
