//! Commits with a good checksum and hostile content: errors, never a panic.

use interstice_core::{
    CommittedState, Dependence, Limits, Reexecution, Repaired, ReplayFault, Runtime, TxOffset,
    log::{
        MemoryLog,
        commit::{Body, Commit, Origin, Outcome},
    },
};
use interstice_tests::{
    Fixture, Function, Guest,
    fixture::{HEADER, at, chained, commits, replay},
    guest::{on_insert, on_update, script},
    random::Random,
};

use crate::modules::{
    args, delete, fail, insert, insert_into, on_row, schedule, script as script_of, scripted,
    update,
};

/// Every kind of commit there is.
fn guests() -> [Guest; 2] {
    let plain = scripted("plain", &[]);
    let columns: &[(&str, &str)] = &[
        ("id", "u32"),
        ("name", "string"),
        ("kind", "Kind"),
        ("note", "option<i64>"),
        ("list", "list<string>"),
        ("ratio", "f64"),
    ];
    let rich = scripted("rich", &[(&plain, "run")])
        .enumeration("Kind", &[("None", &[]), ("Some", &[("value", "u16")])])
        .table("wide", columns, &[0, 1])
        .numbered("audit", &[("id", "u64"), ("kind", "u8"), ("args", "bytes")])
        .reducer(
            Function::new("put").param("row", "Wide").writes(&["wide"]),
            "(call $args_read (i32.const 1024))
             (if (i32.lt_s (call $insert (global.get $table.wide) (i32.const 1024)
                    (local.get $len)) (i32.const 0))
                (then (drop (call $update (global.get $table.wide) (i32.const 1024)
                    (local.get $len)))))",
        )
        .reducer(on_row("on_note", "Note").on(on_insert("note")), &script::run_row())
        .reducer(
            Function::new("on_item")
                .param("old", "Item")
                .param("new", "Item")
                .writes(&["audit"])
                .on(on_update("item")),
            &script::audit(1),
        );
    [plain, rich]
}

fn fixture() -> Fixture {
    let guests = guests();
    let mut fixture = Fixture::of(&guests.each_ref());
    let failing = script_of(&[fail("no")]);
    fixture.call("rich.run", &args(&[insert(1, b"one"), insert(2, b""), delete(2)])).unwrap();
    fixture
        .call("rich.run", &args(&[update(1, b"two"), insert_into("note", 0, &failing)]))
        .unwrap();
    fixture.call("rich.put", &wide(1, "a", 0)).unwrap();
    fixture.call("rich.put", &wide(1, "a", 7)).unwrap();
    let seeded = interstice_core::Inputs { seed: Some(7), ..at(20) };
    fixture.call_at("rich.run", &args(&[delete(1)]), seeded).unwrap();
    let later = [insert(3, b""), insert_into("note", 0, &script_of(&[insert(4, b"")]))];
    fixture
        .call("rich.run", &args(&[schedule(50, &later), schedule(60, &[fail("late")])]))
        .unwrap();
    fixture.run_due(100);
    fixture
}

/// A row of `wide`.
fn wide(id: u32, name: &str, value: u16) -> Vec<u8> {
    use interstice_core::abi::{layout::Layout, value::Value};
    let [_, rich] = guests();
    let schema = rich.schema();
    let layout = Layout::of_fields(&schema, &schema.reducer("put").unwrap().params).unwrap();
    let row = Value::Struct(vec![
        Value::Unsigned(id.into()),
        Value::String(name.into()),
        Value::Enum { variant: 1, fields: vec![Value::Unsigned(value.into())] },
        Value::Option(Some(Box::new(Value::Signed(-1)))),
        Value::List(vec![Value::String("x".into()), Value::String(String::new())]),
        Value::F64(0.5),
    ]);
    let mut bytes = Vec::new();
    layout.encode(&Value::Struct(vec![row]), &mut bytes).unwrap();
    bytes
}

/// The state before each commit, and the commit.
fn before_each(fixture: &Fixture) -> Vec<(CommittedState, TxOffset, Vec<u8>)> {
    let mut state = CommittedState::new(HEADER.seed, Limits::default());
    let mut all = Vec::new();
    for (offset, commit) in commits(fixture.bytes()) {
        all.push((state.clone(), offset, commit.clone()));
        state.replay(offset, &commit).unwrap();
    }
    all
}

/// A commit with something changed at `at`.
fn mutations(commit: &[u8], at: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let with = |byte: u8| {
        let mut changed = commit.to_vec();
        changed[at] = byte;
        changed
    };
    let mut mutations: Vec<Vec<u8>> = (0..8).map(|bit| with(commit[at] ^ 1 << bit)).collect();
    mutations.extend([0x00, 0x01, 0x7f, 0x80, 0xff].map(with));
    mutations.push(with(random.number() as u8));
    mutations.push([&commit[..at], &commit[at + 1..]].concat());
    mutations.push([&commit[..at], &[random.number() as u8], &commit[at..]].concat());
    mutations.push(commit[..at].to_vec());
    mutations.push([&commit[..at], &[0xff; 9], &[0x01], &commit[at..]].concat());
    mutations
}

/// Replays `commit`. If only its state hash is wrong, it gets the right one:
/// so that what comes behind it is met too.
fn replay_mended(
    before: &CommittedState,
    offset: TxOffset,
    mut commit: Vec<u8>,
) -> Result<(CommittedState, Vec<u8>), ReplayFault> {
    let mut state = before.clone();
    match state.replay(offset, &commit).map_err(|error| error.fault) {
        Ok(()) => Ok((state, commit)),
        Err(ReplayFault::StateHash { replayed, .. }) => {
            let end = commit.len() - 8;
            commit[end..].copy_from_slice(&replayed.to_le_bytes());
            let mut state = before.clone();
            state.replay(offset, &commit).map_err(|error| error.fault)?;
            Ok((state, commit))
        }
        Err(fault) => Err(fault),
    }
}

#[test]
fn mutated_commits_are_refused_or_replayed_and_never_panic() {
    let fixture = fixture();
    let all = before_each(&fixture);
    let files = guests().map(|guest| guest.wasm());
    let mut random = Random::new(1);
    let (mut refused, mut replayed) = (0, 0);
    for (index, (before, offset, commit)) in all.iter().enumerate() {
        // Installations are long, and mostly schema, which has tests of its own.
        let step = if commit.len() > 400 { 7 } else { 1 };
        for at_byte in (0..commit.len()).step_by(step) {
            for mutated in mutations(commit, at_byte, &mut random) {
                // What tools show of it must not panic either.
                let _ = before.read(*offset, &mutated).map(|record| format!("{record:?}"));
                let Ok((mut state, mended)) = replay_mended(before, *offset, mutated) else {
                    refused += 1;
                    continue;
                };
                replayed += 1;
                for (_, next, commit) in &all[index + 1..] {
                    if state.replay(*next, commit).is_err() {
                        break;
                    }
                }
                if replayed % 8 == 0 {
                    let earlier = all[..index].iter().map(|(_, _, commit)| commit.clone());
                    run_on(chained(earlier.chain([mended])), &files);
                }
            }
        }
    }
    assert!(refused > 1_000 && replayed > 1_000, "{refused} refused, {replayed} replayed");
}

/// Goes on behind a mutated commit as a host does: runs what waits, what is
/// due, and a call.
fn run_on(log: Vec<u8>, files: &[Vec<u8>]) {
    let state = replay(&log, &Limits::default()).expect("it has replayed");
    let mut runtime = Runtime::new(state, MemoryLog::from_bytes(log).expect("a good header"));
    for file in files {
        let _ = runtime.attach(file);
    }
    let now = at(1_000_000);
    let _ = runtime.run_due(now);
    if let Ok(run) = runtime.reducer("rich", "run") {
        let _ = runtime.call(run, &args(&[insert(77, b"")]), now);
    }
}

#[test]
fn re_execution_of_mutated_commits_never_panics() {
    let fixture = fixture();
    let files = guests().map(|guest| guest.wasm());
    let all = commits(fixture.bytes());
    let mut random = Random::new(2);
    for index in 2..all.len() {
        for _ in 0..60 {
            let at_byte = random.below(all[index].1.len() as u64) as usize;
            for mutated in mutations(&all[index].1, at_byte, &mut random) {
                if !random.chance(15) {
                    continue;
                }
                let mut again = Reexecution::new(HEADER.seed);
                for file in &files {
                    again.attach(file);
                }
                for (offset, commit) in &all[..index] {
                    again.step(*offset, commit).unwrap();
                }
                if let Ok(step) = again.step(all[index].0, &mutated) {
                    let _ = format!("{step:?}");
                }
            }
        }
    }
}

/// The log of `fixture` with one commit edited and given the state hash that
/// it then leads to.
fn edited(fixture: &Fixture, index: usize, edit: impl Fn(&mut Commit<'_>)) -> Vec<u8> {
    let all = before_each(fixture);
    let (before, offset, bytes) = &all[index];
    let mut commit = Commit::decode(bytes).unwrap();
    edit(&mut commit);
    let mut changed = Vec::new();
    commit.encode(&mut changed);
    if let Ok((_, mended)) = replay_mended(before, *offset, changed.clone()) {
        changed = mended;
    }
    let commits = all.iter().map(|(_, _, commit)| commit.clone()).take(index);
    chained(commits.chain([changed]))
}

fn fault(fixture: &Fixture, log: &[u8]) -> ReplayFault {
    fixture.opened(log).err().expect("it is refused").fault
}

/// One insert into `item` of module `plain`, which has nothing else.
fn one_row() -> Fixture {
    let mut fixture = Fixture::of(&[&scripted("plain", &[])]);
    fixture.call("plain.run", &args(&[insert(1, b"x")])).unwrap();
    fixture
}

/// A change of table 0, `item`, packed.
fn change(kind: u8, id: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind, id], rest].concat()
}

#[test]
fn changes_that_do_not_fit_the_rows_are_refused() {
    let mut fixture = one_row();
    fixture.call("plain.run", &args(&[update(1, b"y")])).unwrap();
    let (insert, update, delete) = (0, 1, 2);
    let with_changes = |changes: &[u8]| {
        let log = edited(&fixture, 2, |commit| {
            let Body::Run { changes: slot, .. } = &mut commit.body else { panic!("a call") };
            // Leaked, because a commit borrows; a test may.
            *slot = Vec::leak(changes.to_vec());
        });
        fault(&fixture, &log).to_string()
    };
    let misfit = "its changes do not fit the rows of table `item`";
    assert_eq!(with_changes(&change(update, 9, &[2, 0])), misfit, "no such row");
    assert_eq!(with_changes(&change(delete, 9, &[])), misfit, "no such row");
    assert_eq!(with_changes(&change(insert, 1, &[0])), misfit, "it is there already");
    let twice = [change(delete, 1, &[]), change(delete, 1, &[])].concat();
    assert_eq!(with_changes(&twice), misfit, "gone already");
    let twice = [change(insert, 5, &[0]), change(insert, 5, &[0])].concat();
    assert_eq!(with_changes(&twice), misfit, "inserted already");
    // What a transaction comes to writes a row once.
    for twice in [
        [change(update, 1, &[2, 1, b'a']), change(update, 1, &[2, 1, b'b'])],
        [change(update, 1, &[2, 1, b'a']), change(delete, 1, &[])],
        [change(delete, 1, &[]), change(insert, 1, &[0])],
    ] {
        assert_eq!(with_changes(&twice.concat()), misfit);
    }
    assert_eq!(
        with_changes(&change(3, 1, &[])),
        "it does not decode: at byte 2: an enum tag names no variant"
    );
    assert_eq!(with_changes(&[0x7c, 1, 0]), "there is no table number 31");
    // The key cannot change, nor a column that is not there.
    for mask in [0x01, 0x03, 0x04, 0x00] {
        let text = with_changes(&change(update, 1, &[mask, 0]));
        assert!(text.starts_with("it does not decode"), "mask {mask}: {text}");
    }
}

#[test]
fn a_repair_keeps_no_commit_that_writes_a_row_twice() {
    let fixture = one_row();
    let (before, _, bytes) = &before_each(&fixture)[1];
    let hash = before.state_hash();
    let mut commit = Commit::decode(bytes).unwrap();
    let Body::Run { changes, .. } = &mut commit.body else { panic!("a call") };
    let twice = [*changes, *changes].concat();
    *changes = &twice;
    // The effect that it claims is that of its writes.
    commit.state_hash = hash.wrapping_add(commit.state_hash.wrapping_sub(hash).wrapping_mul(2));
    let mut bytes = Vec::new();
    commit.encode(&mut bytes);
    let kept = before.clone().keep(&bytes, Some(hash));
    assert!(matches!(kept, Err(Dependence::Misfit(ReplayFault::Row { .. }))), "{kept:?}");
    let mut state = before.clone();
    let (repaired, what) = state.repair(&bytes, Some(hash), usize::MAX);
    assert!(matches!(what, Repaired::TakenOver { taken: 1, left: 1, .. }), "{what:?}");
    let mut again = before.clone();
    again.replay(again.next_offset(), &repaired).unwrap();
    assert_eq!(again.state_hash(), state.state_hash());
}

#[test]
fn nothing_is_installed_while_subscriptions_wait() {
    let guests = guests();
    let mut fixture = Fixture::of(&guests.each_ref());
    let leaf = script_of(&[insert(1, b"")]);
    fixture.call("rich.run", &args(&[insert_into("note", 0, &leaf)])).unwrap();
    let mut all: Vec<Vec<u8>> =
        commits(fixture.bytes()).into_iter().map(|(_, commit)| commit).collect();
    // The subscription's commit gives way to the first installation.
    all[3] = all[0].clone();
    assert_eq!(
        fault(&fixture, &chained(all)).to_string(),
        "module `plain`: subscriptions are waiting to run; run them first"
    );
}

/// What waits is copied for each that waits: first it is asked whether it may.
#[test]
fn no_more_waits_than_the_limits_in_the_log_let() {
    let guests = guests();
    let mut fixture = Fixture::of(&guests.each_ref());
    let note = script_of(&[insert(1, &[7; 100])]);
    fixture.call("rich.run", &args(&[(); 3].map(|()| insert_into("note", 0, &note)))).unwrap();
    let len = note.len() as u64;
    let limits = |queue_len: usize, waiting_bytes: u64| {
        let limits = Limits { queue_len, waiting_bytes, ..Limits::default() };
        let mut fixture = Fixture::with_limits(limits);
        fixture.install(&guests[0]).unwrap();
        let (_, first) = commits(fixture.bytes()).remove(0);
        Commit::decode(&first).unwrap().limits.to_vec().leak() as &'static [u8]
    };
    for (queue_len, waiting_bytes, is_crowd) in
        [(3, 1 << 20, false), (2, 1 << 20, true), (3, 3 * len, true), (3, 3 * len + 200, false)]
    {
        let limits = limits(queue_len, waiting_bytes);
        let log = edited(&fixture, 2, |commit| commit.limits = limits);
        let replayed = replay(&log, &Limits::default()).map_err(|error| error.fault);
        assert_eq!(replayed.err(), is_crowd.then_some(ReplayFault::Crowd), "{queue_len}");
        // A repair keeps none that would not replay.
        let mut all = commits(&log);
        let (_, last) = all.pop().unwrap();
        let before = chained(all.into_iter().map(|(_, commit)| commit));
        let mut before = replay(&before, &Limits::default()).unwrap();
        let hash = before.state_hash();
        let kept = before.keep(&last, Some(hash)).err();
        assert_eq!(kept, is_crowd.then_some(Dependence::Misfit(ReplayFault::Crowd)));
    }
}

#[test]
fn nothing_runs_before_the_subscriptions_that_wait() {
    let guests = guests();
    let mut fixture = Fixture::of(&guests.each_ref());
    fixture.call("rich.run", &args(&[schedule(50, &[])])).unwrap();
    let leaf = script_of(&[insert(1, b"")]);
    fixture.call("rich.run", &args(&[insert_into("note", 0, &leaf)])).unwrap();
    let call = commits(fixture.bytes())[2].1.clone();
    for origin in [None, Some(Origin::Schedule)] {
        let mut all: Vec<Vec<u8>> =
            commits(fixture.bytes()).into_iter().map(|(_, commit)| commit).collect();
        let mut commit = Commit::decode(&call).unwrap();
        let Body::Run { origin: slot, .. } = &mut commit.body else { panic!("a call") };
        *slot = origin.unwrap_or(*slot);
        commit.elapsed = 100;
        all[4].clear();
        commit.encode(&mut all[4]);
        assert_eq!(fault(&fixture, &chained(all)), ReplayFault::SubscriptionsWait);
    }
}

#[test]
fn commits_that_answer_to_nothing_are_refused() {
    let fixture = one_row();
    for origin in [Origin::Subscription, Origin::Schedule] {
        let log = edited(&fixture, 1, |commit| {
            let Body::Run { origin: slot, .. } = &mut commit.body else { panic!("a call") };
            *slot = origin;
        });
        assert_eq!(fault(&fixture, &log), ReplayFault::NothingWaits);
    }
    for (module, function, expected) in [
        (1, 0, "module number 1 is not installed"),
        (0, 9, "its module has no reducer number 9"),
        // The query behind the reducers.
        (0, 2, "its module has no reducer number 2"),
    ] {
        let log = edited(&fixture, 1, |commit| {
            let Body::Run { origin, .. } = &mut commit.body else { panic!("a call") };
            *origin = Origin::Call { module, function, args: b"\0" };
        });
        assert_eq!(fault(&fixture, &log).to_string(), expected);
    }
}

#[test]
fn failures_that_cannot_be_are_refused() {
    let mut fixture = Fixture::of(&[&scripted("plain", &[])]);
    fixture.call("plain.run", &args(&[schedule(50, &[fail("late")])])).unwrap();
    fixture.run_due(60);
    let decode_fault = |log: &[u8]| {
        let text = fault(&fixture, log).to_string();
        assert!(text.starts_with("it does not decode"), "{text}");
    };
    // Calls from outside are not recorded when they fail.
    decode_fault(&edited(&fixture, 1, |commit| {
        let Body::Run { outcome, schedules, .. } = &mut commit.body else { panic!("a call") };
        *outcome = Outcome::Failed { code: 2, error: &[] };
        *schedules = Default::default();
    }));
    for code in [0, 6, 255] {
        decode_fault(&edited(&fixture, 2, |commit| {
            let Body::Run { outcome, .. } = &mut commit.body else { panic!("a call") };
            *outcome = Outcome::Failed { code, error: &[] };
        }));
    }
    // What failed has changed nothing.
    decode_fault(&edited(&fixture, 2, |commit| {
        let Body::Run { changes, .. } = &mut commit.body else { panic!("a call") };
        *changes = b"\x00\x01\x00";
    }));
}

#[test]
fn a_scheduled_call_cannot_have_run_before_its_time() {
    let mut fixture = Fixture::of(&[&scripted("plain", &[])]);
    fixture.call("plain.run", &args(&[schedule(50, &[])])).unwrap();
    fixture.run_due(60);
    let log = edited(&fixture, 2, |commit| commit.elapsed = 3);
    assert_eq!(fault(&fixture, &log), ReplayFault::NothingWaits);
}

#[test]
fn time_out_of_range_is_refused() {
    let fixture = one_row();
    let log = edited(&fixture, 1, |commit| commit.elapsed = u64::MAX);
    assert_eq!(fault(&fixture, &log), ReplayFault::Time);
}

#[test]
fn a_wrong_state_hash_is_found_at_its_commit() {
    let fixture = one_row();
    let mut all = commits(fixture.bytes());
    let end = all[1].1.len() - 1;
    all[1].1[end] ^= 1;
    let log = chained(all.into_iter().map(|(_, commit)| commit));
    let error = fixture.opened(&log).err().expect("it is refused");
    assert!(error.to_string().starts_with("commit 1: the state behind it has hash "), "{error}");
}

#[test]
fn results_that_are_not_of_their_type_are_refused_by_what_shows_them() {
    let fixture = one_row();
    let (before, offset, bytes) = before_each(&fixture).remove(1);
    let mut commit = Commit::decode(&bytes).unwrap();
    let Body::Run { outcome, .. } = &mut commit.body else { panic!("a call") };
    *outcome = Outcome::Committed { result: &[200, 1, 1] };
    let mut changed = Vec::new();
    commit.encode(&mut changed);
    let error = before.read(offset, &changed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "commit 1: it does not decode: at byte 2: the input ends inside a value"
    );
}
