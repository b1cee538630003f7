//! Subscriptions that would run each other for ever are refused with their path.

use interstice_core::{
    InstallError, Refused,
    abi::schema::{AccessSet, Trigger},
};
use interstice_tests::{
    Fixture, Function, Guest,
    guest::{on_delete, on_insert, on_update},
};

const COLUMNS: &[(&str, &str)] = &[("id", "u64")];

fn guest(name: &str) -> Guest {
    Guest::new(name).table("a", COLUMNS, &[0]).table("b", COLUMNS, &[0]).table("c", COLUMNS, &[0])
}

/// A reducer that runs by `trigger` and declares to do `allowed` with `table`.
fn link(name: &str, trigger: Trigger, allowed: AccessSet, table: &str) -> Function {
    let (reference, kind) = trigger.table().expect("a trigger on a table");
    let row = match &reference.module {
        Some(module) => format!("{module}.{}", reference.table.to_uppercase()),
        None => reference.table.to_uppercase(),
    };
    let function = Function::new(name).param("row", &row);
    let function = if kind == AccessSet::UPDATE { function.param("new", &row) } else { function };
    function.may(allowed, table).on(trigger.clone())
}

fn refusal(fixture: &mut Fixture, guest: &Guest) -> String {
    let before = fixture.state().state_hash();
    let modules = fixture.state().modules().len();
    match fixture.install(guest) {
        Err(InstallError::Refused(refusal)) => {
            assert!(matches!(refusal.why, Refused::Cycle { .. }), "{refusal}");
            assert_eq!(fixture.state().state_hash(), before, "nothing has changed");
            assert_eq!(fixture.state().modules().len(), modules);
            refusal.to_string()
        }
        other => panic!("a cycle, not {other:?}"),
    }
}

#[test]
fn a_reducer_that_triggers_itself() {
    let guest = guest("m").reducer(link("again", on_insert("a"), AccessSet::INSERT, "a"), "");
    assert_eq!(
        refusal(&mut Fixture::new(), &guest),
        "module `m`: its subscriptions would never end: m.again inserts into m.a, which runs m.again"
    );
}

#[test]
fn a_longer_way_round() {
    let guest = guest("m")
        .reducer(Function::new("start").writes(&["a"]), "")
        .reducer(link("one", on_insert("a"), AccessSet::UPDATE, "b"), "")
        .reducer(link("two", on_update("b"), AccessSet::DELETE, "c"), "")
        .reducer(link("three", on_delete("c"), AccessSet::INSERT, "a"), "");
    assert_eq!(
        refusal(&mut Fixture::new(), &guest),
        "module `m`: its subscriptions would never end: \
         m.one updates m.b, which runs m.two deletes from m.c, which runs m.three inserts into m.a, which runs m.one"
    );
}

#[test]
fn the_kind_of_change_matters() {
    let guest = guest("m")
        .reducer(link("one", on_insert("a"), AccessSet::UPDATE.union(AccessSet::DELETE), "a"), "")
        .reducer(link("two", on_update("b"), AccessSet::INSERT, "b"), "");
    Fixture::new().install(&guest).unwrap();
}

#[test]
fn two_ways_to_one_table_are_no_cycle() {
    let guest = guest("m")
        .reducer(link("one", on_insert("a"), AccessSet::INSERT, "b"), "")
        .reducer(link("two", on_insert("a"), AccessSet::INSERT, "c"), "")
        .reducer(link("three", on_insert("b"), AccessSet::INSERT, "c"), "");
    Fixture::new().install(&guest).unwrap();
}

#[test]
fn a_cycle_through_another_modules_function() {
    let callee = guest("callee").reducer(Function::new("put").writes(&["a"]), "");
    let watcher = Guest::new("watcher").structure("callee.A", COLUMNS).reducer(
        Function::new("seen")
            .param("row", "callee.A")
            .calls(&callee, "put")
            .on(on_insert("callee.a")),
        "",
    );
    let mut fixture = Fixture::of(&[&callee]);
    assert_eq!(
        refusal(&mut fixture, &watcher),
        "module `watcher`: its subscriptions would never end: \
         watcher.seen inserts into callee.a, which runs watcher.seen"
    );
}

#[test]
fn a_cycle_that_an_upgrade_would_close() {
    let one = |function: &str| {
        guest("one").reducer(Function::new("put").writes(&["a"]), "").reducer(
            match function {
                "" => Function::new("harmless"),
                _ => Function::new("back")
                    .param("row", "two.A")
                    .may(AccessSet::INSERT, "a")
                    .on(on_insert("two.a")),
            },
            "",
        )
    };
    let two = guest("two")
        .structure("one.A", COLUMNS)
        .reducer(link("there", on_insert("one.a"), AccessSet::INSERT, "a"), "");
    let mut fixture = Fixture::of(&[&one(""), &two]);
    let closing = one("back").structure("two.A", COLUMNS);
    assert_eq!(
        refusal(&mut fixture, &closing),
        "module `one`: its subscriptions would never end: \
         one.back inserts into one.a, which runs two.there inserts into two.a, which runs one.back"
    );
    fixture.call("one.put", &[]).unwrap();
    fixture.assert_replays();
}

/// Table `tN` runs `onN`, which writes table `tN+1`; the last one writes `last`.
fn long_chain(links: usize, last: &str) -> Guest {
    let mut guest = Guest::new("long").table(&format!("t{links}"), COLUMNS, &[0]);
    for link in 0..links {
        let (table, next) = (format!("t{link}"), format!("t{}", link + 1));
        let next = if link + 1 == links { last } else { &next };
        let function = Function::new(&format!("on{link}")).param("row", &table.to_uppercase());
        guest = guest
            .table(&table, COLUMNS, &[0])
            .reducer(function.may(AccessSet::INSERT, next).on(on_insert(&table)), "");
    }
    guest
}

#[test]
fn long_chains_are_walked_on_a_small_host_stack() {
    const LINKS: usize = 250;
    let straight = long_chain(LINKS, &format!("t{LINKS}")).wasm();
    let round = long_chain(LINKS, "t0").wasm();
    let run = move || {
        Fixture::new().install_file(straight).unwrap();
        let error = Fixture::new().install_file(round).unwrap_err().to_string();
        assert_eq!(error.matches("which runs").count(), LINKS, "{error}");
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap();
    thread.join().unwrap();
}

#[test]
fn what_is_deleted_and_inserted_again_is_updated() {
    let again = AccessSet::INSERT.union(AccessSet::DELETE);
    let guest = guest("m").reducer(link("again", on_update("a"), again, "a"), "");
    assert_eq!(
        refusal(&mut Fixture::new(), &guest),
        "module `m`: its subscriptions would never end: m.again updates m.a, which runs m.again"
    );
    // Each half of it in a function of another module.
    let callee = self::guest("callee")
        .reducer(Function::new("put").may(AccessSet::INSERT, "a"), "")
        .reducer(Function::new("take").may(AccessSet::DELETE, "a"), "");
    let watcher = |halves: &[&str]| {
        let seen = Function::new("seen").param("row", "callee.A").param("new", "callee.A");
        let seen = halves.iter().fold(seen, |seen, half| seen.calls(&callee, half));
        Guest::new("watcher")
            .structure("callee.A", COLUMNS)
            .reducer(seen.on(on_update("callee.a")), "")
    };
    let mut fixture = Fixture::of(&[&callee]);
    assert_eq!(
        refusal(&mut fixture, &watcher(&["put", "take"])),
        "module `watcher`: its subscriptions would never end: \
         watcher.seen updates callee.a, which runs watcher.seen"
    );
    fixture.install(&watcher(&["put"])).unwrap();
}
