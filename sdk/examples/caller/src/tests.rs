use ::hello as _;
use interstice_sdk::testing::{self, TestHost};

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn the_schema_file_is_that_of_hello() {
    let file: testing::ModuleSchema =
        serde_json::from_str(include_str!("../schemas/hello.json")).unwrap();
    assert_eq!(file, testing::schema("hello"), "write it anew: `interstice schema --format json`");
}

#[test]
fn all_are_greeted_and_counted() {
    let mut host = TestHost::new();
    let greeted = host.call(|ctx| greet_all(ctx, names(&["Ada", "Grace", "Ada"])));
    assert_eq!(greeted, Ok(vec![1, 2, 3]));
    assert_eq!(host.query(greetings), 3);
    assert_eq!(
        host.query(|ctx| popular(ctx, 2)),
        [Popularity { name: "Ada".into(), greetings: 2 }]
    );
}

#[test]
fn one_error_takes_all_greetings_back() {
    let mut host = TestHost::new();
    assert!(host.call(|ctx| greet_all(ctx, names(&["Ada", ""]))).is_err());
    assert_eq!(host.query(greetings), 0);
    assert!(host.rows::<Popularity>().is_empty());
}

#[test]
fn a_failed_call_takes_back_only_itself() {
    let mut host = TestHost::new();
    assert_eq!(host.call(|ctx| greet_each(ctx, names(&["Ada", "", "Grace"]))), Ok(2));
    assert_eq!(host.rows::<Apology>().len(), 1);
    assert_eq!(host.rows::<Popularity>().len(), 2);
}
