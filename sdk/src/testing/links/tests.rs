use std::vec;

use interstice_abi::schema::{CallDef, Field, TableDef, Trigger, Type, TypeDef, TypeKind};

use super::*;

fn field(name: &str, ty: &str) -> Field {
    Field { name: name.into(), ty: ty.parse().unwrap() }
}

fn function(name: &str, params: Vec<Field>) -> FunctionDef {
    FunctionDef { name: name.into(), params, ..FunctionDef::default() }
}

fn struct_of(name: &str, fields: Vec<Field>) -> TypeDef {
    TypeDef { name: name.into(), kind: TypeKind::Struct(fields) }
}

/// A table `greeting`, and a reducer `greet`.
fn hello() -> ModuleSchema {
    ModuleSchema {
        module: "hello".into(),
        types: vec![struct_of("Greeting", vec![field("id", "u64"), field("name", "string")])],
        tables: vec![TableDef {
            name: "greeting".into(),
            version: 1,
            row: "Greeting".into(),
            primary_key: vec![0],
            auto_increment: None,
        }],
        reducers: vec![function("greet", vec![field("name", "string")])],
        ..ModuleSchema::default()
    }
}

/// A module that calls `hello.greet`, as it is in `known`.
fn calling(module: &str, known: &ModuleSchema) -> ModuleSchema {
    let call = CallDef {
        module: known.module.clone(),
        function: "greet".into(),
        signature: known.signature(known.reducer("greet").unwrap()).unwrap(),
    };
    let caller = FunctionDef { calls: vec![call], ..function("greet_all", vec![]) };
    ModuleSchema { module: module.into(), reducers: vec![caller], ..ModuleSchema::default() }
}

/// A module that waits for rows of `hello` that look like this.
fn waiting(module: &str, fields: Vec<Field>) -> ModuleSchema {
    let table = TableRef { module: Some("hello".into()), table: "greeting".into() };
    let tally = FunctionDef {
        trigger: Some(Trigger::Insert(table)),
        ..function("tally", vec![field("row", "hello.Greeting")])
    };
    ModuleSchema {
        module: module.into(),
        types: vec![struct_of("hello.Greeting", fields)],
        reducers: vec![tally],
        ..ModuleSchema::default()
    }
}

fn linked<const N: usize>(schemas: [ModuleSchema; N]) -> BTreeMap<String, Module> {
    let module = |schema: ModuleSchema| {
        schema.validate().unwrap();
        (schema.module.clone(), Module { schema, functions: BTreeMap::new() })
    };
    schemas.into_iter().map(module).collect()
}

#[track_caller]
fn refused<const N: usize>(schemas: [ModuleSchema; N], why: &str) {
    assert_eq!(check(&linked(schemas)), Err(why.into()));
}

#[test]
fn modules_that_fit_each_other_are_linked() {
    let rows = vec![field("id", "u64"), field("name", "string")];
    let fits = linked([hello(), calling("caller", &hello()), waiting("waiter", rows)]);
    assert_eq!(check(&fits), Ok(()));
}

#[test]
fn modules_that_are_not_linked_are_not_missed() {
    assert_eq!(
        check(&linked([calling("caller", &hello()), waiting("w", vec![field("a", "u8")])])),
        Ok(())
    );
}

#[test]
fn a_call_of_another_signature_is_refused() {
    let caller = calling("caller", &hello());
    let mut changed = hello();
    changed.reducers[0].params[0].ty = Type::U64;
    let stale = "module `caller`: `caller.greet_all` was built for another version of `hello.greet`: its parameters or results have changed; build it again with the current schema file";
    refused([changed, caller.clone()], stale);
    let mut triggered = hello();
    triggered.reducers[0].trigger = Some(Trigger::Load);
    triggered.reducers[0].params.clear();
    let mut caller_of_triggered = caller.clone();
    let signature = triggered.signature(&triggered.reducers[0]).unwrap();
    caller_of_triggered.reducers[0].calls[0].signature = signature;
    refused([triggered, caller_of_triggered], stale);
    let mut renamed = hello();
    renamed.reducers[0].name = "salute".into();
    refused(
        [renamed, caller],
        "module `caller`: `caller.greet_all` calls `hello.greet`, which does not exist",
    );
}

#[test]
fn a_subscription_to_other_rows_is_refused() {
    let other = "module `waiter`: `waiter.tally` was built for other rows than those of table `hello.greeting`; build it again with the current schema file";
    refused([hello(), waiting("waiter", vec![field("id", "u64")])], other);
    let types = vec![field("id", "u64"), field("name", "bytes")];
    refused([hello(), waiting("waiter", types)], other);
    let names = vec![field("id", "u64"), field("nick", "string")];
    refused([hello(), waiting("waiter", names)], other);
    let mut without = hello();
    without.tables.clear();
    refused(
        [without, waiting("waiter", vec![field("id", "u64"), field("name", "string")])],
        "module `waiter`: `waiter.tally` waits for table `hello.greeting`, which does not exist",
    );
}

#[test]
fn modules_are_installed_behind_what_they_need_and_otherwise_by_name() {
    let rows = || vec![field("id", "u64"), field("name", "string")];
    let order = installation_order(&linked([
        calling("alpha", &calling_target("beta")),
        calling_target("beta"),
        waiting("gamma", rows()),
        hello(),
        calling("zeta", &hello()),
    ]));
    assert_eq!(order, ["beta", "alpha", "hello", "gamma", "zeta"]);
}

#[test]
fn modules_that_need_each_other_have_an_order_too() {
    let mut one = calling("one", &calling_target("two"));
    let mut two = calling("two", &calling_target("one"));
    for schema in [&mut one, &mut two] {
        schema.reducers.push(function("greet", vec![]));
    }
    assert_eq!(
        installation_order(&linked([two.clone(), one.clone(), hello()])),
        ["hello", "one", "two"]
    );
    // One that needs them comes behind them.
    let alpha = calling("alpha", &calling_target("one"));
    assert_eq!(installation_order(&linked([two, one, alpha])), ["one", "alpha", "two"]);
}

/// `hello` by another name.
fn calling_target(module: &str) -> ModuleSchema {
    ModuleSchema { module: module.into(), ..hello() }
}
