//! A module that was built with an old schema file of another: the test host
//! refuses it, as the real one does.

use interstice_sdk::{
    __private::section::{FieldDesc, FunctionDesc, TypeDesc},
    prelude::*,
    testing::TestHost,
};

interstice_sdk::import!("examples/caller/schemas/hello.json");

#[reducer(calls(hello::greet))]
fn greet_all(ctx: &GreetAllContext, names: Vec<String>) -> Result<Vec<u64>, String> {
    names.into_iter().map(|name| hello::greet(ctx, name)).collect()
}

// `hello` as it is now: it greets numbers.
interstice_sdk::__function!(
    "hello",
    ItemDesc::Reducer(FunctionDesc {
        name: "greet",
        params: &[FieldDesc { name: "number", ty: TypeDesc::U64 }],
        returns: Some(TypeDesc::U64),
        error: Some(TypeDesc::String),
        trigger: None,
        access: &[],
        calls: &[],
    }),
    "greet",
    "greet",
    u64,
    |number: u64| -> Result<u64, String> { Ok(number) }
);

#[test]
#[should_panic = "module `interstice_sdk`: `interstice_sdk.greet_all` was built for another version of `hello.greet`: its parameters or results have changed; build it again with the current schema file"]
fn a_module_with_an_old_schema_file_is_refused() {
    let mut host = TestHost::new();
    let _ = host.call(|ctx| greet_all(ctx, vec!["Ada".into()]));
}
