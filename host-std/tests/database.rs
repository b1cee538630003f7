//! The library: a database from its creation to its re-opening.

use interstice::node::Database;

mod fixture;

#[test]
fn a_database_is_the_same_after_it_was_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let mut database = Database::create(&path).unwrap();
    database.install(&fixture::wasm()).unwrap();
    let add = database.reducer("notes", "add").unwrap();
    for number in 1..=3u64 {
        let called = database.call(add, &fixture::text_argument("hello")).unwrap();
        assert_eq!(called.result, number.to_le_bytes());
        assert_eq!(called.failures, []);
    }
    assert_eq!(database.state().next_offset().0, 7);
    let hash = database.state().state_hash();
    drop(database);

    let mut database = Database::open(&path).unwrap();
    assert_eq!(database.state().state_hash(), hash);
    assert_eq!(database.opening().commits, 7);
    let count = database.query_ref("notes", "count").unwrap();
    assert_eq!(database.query(count, &[]).unwrap().result, 3u64.to_le_bytes());
}
