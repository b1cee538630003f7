//! Names that the macros use themselves, and names that are keywords.

use interstice_sdk::{prelude::*, testing::TestHost};

#[derive(Clone, Column, Debug, PartialEq)]
struct Args {
    slot: u8,
    stored: String,
}

#[derive(Clone, Column, Debug, PartialEq)]
enum Item {
    Slot { tag: u8, offset: u32 },
    Tail { tail: Vec<Args>, stored: String },
    Pair,
}

#[table(name = "rows", version = 3)]
#[derive(Clone, Debug, PartialEq)]
struct Row {
    #[key]
    ctx: u64,
    #[key]
    r#type: String,
    item: Item,
}

#[reducer(writes(Row))]
fn run(
    context: &RunContext,
    ctx: u64,
    at: Timestamp,
    args: Args,
    args_len: Item,
) -> core::result::Result<(), String> {
    let _ = at;
    context.row.upsert(Row { ctx, r#type: args.stored, item: args_len });
    Ok(())
}

/// Its arguments are called like `schedule`'s own.
#[reducer]
fn later(ctx: &LaterContext, at: Timestamp, args: Args) {
    run::schedule(ctx, at, 7, at, args, Item::Pair);
}

#[reducer(on(update(Row)))]
fn updated(_ctx: &UpdatedContext, __0: Row, new: Row) {
    assert_ne!(__0, new);
}

#[query(reads(Row))]
fn r#match(ctx: &MatchContext, ctx_: u64, r#type: String) -> Option<Row> {
    ctx.row.get((ctx_, &r#type))
}

fn main() {
    let mut host = TestHost::new();
    let args = Args { slot: 1, stored: "fn".into() };
    let soon = Timestamp::from_date(2020, 1, 2);
    let item = Item::Tail { tail: vec![args.clone(), args.clone()], stored: "x".into() };
    host.call(|ctx| run(ctx, 7, soon, args.clone(), item.clone())).unwrap();
    let row = Row { ctx: 7, r#type: "fn".into(), item };
    assert_eq!(host.query(|ctx| r#match(ctx, 7, "fn".into())), Some(row));

    host.call(|ctx| later(ctx, soon, args));
    assert_eq!(host.scheduled()[0].reducer, "run");
    host.advance(Duration::from_days(2));
    assert_eq!(host.rows::<Row>()[0].item, Item::Pair);
    assert_eq!(host.failures(), Vec::<String>::new());
}
