//! Two modules in one test: which is installed first, and what each sees of the
//! other.
//!
//! This package's module needs `zulu`, which is written out below as the macros
//! would write it for a crate of that name.

use std::panic::{AssertUnwindSafe, catch_unwind};

use interstice_sdk::{
    __private::{
        AccessSet, Decode, Encode, Stored, Tail,
        section::{
            AccessDesc, FieldDesc, FunctionDesc, StructDesc, TableDesc, TableRefDesc, TriggerDesc,
            TypeDesc,
        },
    },
    Access, Handle, Table, info,
    prelude::*,
    testing::TestHost,
};

interstice_sdk::import!("tests/schemas/zulu.json");

#[reducer(calls(zulu::enter))]
fn send(ctx: &SendContext, name: String) {
    info!("sending {name}");
    zulu::enter(ctx, name);
}

#[reducer(on(insert(zulu::Visit)))]
fn noticed(_ctx: &NoticedContext, visit: zulu::Visit) {
    info!("noticed {}", visit.name);
}

#[reducer(on(init))]
fn begin(_ctx: &BeginContext) {
    info!("ready");
}

#[derive(Column)]
struct Visit {
    name: String,
}

const ROW: StructDesc =
    StructDesc { name: "Visit", fields: &[FieldDesc { name: "name", ty: TypeDesc::String }] };

// SAFETY: the row is the struct above, and is put into the schema below.
unsafe impl Table for Visit {
    type Key = String;
    const DESC: TableDesc =
        TableDesc { name: "visit", version: 1, row: &ROW, primary_key: &[0], auto_increment: None };
    const MODULE: &'static str = "zulu";

    fn take_number(&mut self, _slot: &Self::Slot) {}
}

/// The arguments of a function that has none.
struct Nothing;

impl Encode for Nothing {
    type Slot = ();
    const IS_FIXED: bool = true;

    fn encode(&self, _tail: &mut Tail) {}
}

impl Decode for Nothing {
    fn decode(_slot: &(), _stored: Stored<'_>) -> Self {
        Self
    }
}

const fn function(
    name: &'static str,
    params: &'static [FieldDesc],
    trigger: Option<TriggerDesc>,
) -> FunctionDesc {
    const INSERTS: &[AccessDesc] =
        &[AccessDesc { table: "visit", allowed: AccessSet::READ.union(AccessSet::INSERT) }];
    FunctionDesc { name, params, returns: None, error: None, trigger, access: INSERTS, calls: &[] }
}

fn enter(name: &str) {
    let visits = Handle::<Visit, Access<true, false, false>>::__new();
    visits.insert(Visit { name: name.into() }).unwrap();
}

interstice_sdk::__schema!("zulu", ItemDesc::Table(<Visit as Table>::DESC));
interstice_sdk::__function!(
    "zulu",
    ItemDesc::Reducer(function("begin", &[], Some(TriggerDesc::Init))),
    "begin",
    "begin",
    Nothing,
    |_: Nothing| {
        info!("zulu begins");
        enter("the first");
    }
);
interstice_sdk::__function!(
    "zulu",
    ItemDesc::Reducer(function("enter", &[FieldDesc { name: "name", ty: TypeDesc::String }], None)),
    "enter",
    "enter",
    String,
    |name: String| enter(&name)
);
interstice_sdk::__function!(
    "zulu",
    ItemDesc::Reducer(function(
        "entered",
        &[FieldDesc { name: "visit", ty: TypeDesc::Struct(&ROW) }],
        Some(TriggerDesc::Insert(TableRefDesc { module: None, table: "visit" })),
    )),
    "entered",
    "entered",
    Visit,
    |visit: Visit| info!("zulu has {}", visit.name)
);

fn lines(host: &TestHost) -> Vec<String> {
    host.log().into_iter().map(|line| line.text).collect()
}

#[test]
fn a_module_sees_nothing_of_what_went_before_its_installation() {
    let mut host = TestHost::new();
    host.install();
    assert_eq!(lines(&host), ["zulu begins", "zulu has the first", "ready"]);
    assert_eq!(host.rows::<Visit>().len(), 1);
}

#[test]
fn subscribers_run_in_the_order_of_their_modules_installation() {
    let mut host = TestHost::new();
    host.install();
    let before = lines(&host).len();
    host.call(|ctx| send(ctx, "Ada".into()));
    assert_eq!(lines(&host)[before..], ["sending Ada", "zulu has Ada", "noticed Ada"]);
}

#[test]
fn a_row_that_cannot_be_put_into_a_table_leaves_nothing() {
    let mut host = TestHost::new();
    host.insert(Visit { name: "Ada".into() });
    let again = catch_unwind(AssertUnwindSafe(|| host.insert(Visit { name: "Ada".into() })));
    assert!(again.is_err());
    host.call(|ctx| send(ctx, "Grace".into()));
    assert_eq!(host.rows::<Visit>().len(), 2);
}

#[test]
fn a_host_without_installation_has_all_modules() {
    let mut host = TestHost::new();
    host.call(|ctx| send(ctx, "Ada".into()));
    assert_eq!(lines(&host), ["sending Ada", "zulu has Ada", "noticed Ada"]);
}
