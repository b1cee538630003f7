//! Every way to find rows.

use interstice_sdk::{Declared, Handle, prelude::*, testing::TestHost};

#[derive(Clone, Copy, Column, Debug, PartialEq)]
enum Kind {
    Rain,
    Snow,
}

#[table]
#[derive(Clone, Debug, PartialEq)]
struct Fall {
    #[key]
    place: String,
    #[key]
    year: u16,
    #[key]
    day: u16,
    kind: Kind,
    mm: f64,
    note: Option<String>,
}

fn fall(place: &str, year: u16, day: u16, kind: Kind, mm: f64, note: Option<&str>) -> Fall {
    Fall { place: place.into(), year, day, kind, mm, note: note.map(String::from) }
}

/// A helper function that any function with the table can use.
fn days(falls: &Handle<Fall, impl Declared>, place: &str, year: u16) -> Vec<u16> {
    falls.scan().prefix((place, year)).iter().map(|fall| fall.day).collect()
}

#[query(reads(Fall))]
fn all_ways(ctx: &AllWaysContext) {
    let falls = &ctx.fall;
    assert_eq!(falls.count(), 5);
    assert_eq!(days(falls, "Oslo", 2010), [3, 9]);
    assert_eq!(falls.scan().prefix("Oslo").count(), 3);
    assert_eq!(falls.scan().prefix(&String::from("Rome")).count(), 2);
    assert_eq!(falls.scan().range(("Oslo", 2010, 9)..).count(), 4);
    assert_eq!(falls.scan().range(("Oslo", 2010)..=("Oslo", 2010)).count(), 2);
    assert_eq!(falls.scan().range(.."Rome").count(), 3);
    assert_eq!(falls.scan().rev().first().map(|fall| fall.day), Some(200));
    assert_eq!(falls.scan().rev().limit(2).to_vec().len(), 2);

    let count = |filter: Filter<Fall>| falls.scan().filter(filter).count();
    assert_eq!(count(Fall::kind.eq(Kind::Snow)), 2);
    assert_eq!(count(Fall::kind.eq(Kind::Snow).and(Fall::mm.gt(2.0))), 1);
    assert_eq!(count(Fall::day.le(9).or(Fall::place.eq("Rome"))), 4);
    assert_eq!(count(!Fall::place.eq("Rome")), 3);
    assert_eq!(count(Fall::place.ne(String::from("Rome"))), 3);
    assert_eq!(count(Fall::place.starts_with("O")), 3);
    assert_eq!(count(Fall::place.contains("om")), 2);
    assert_eq!(count(Fall::note.is_none()), 3);
    assert_eq!(count(Fall::note.is_some()), 2);
    assert_eq!(count(Fall::note.eq("heavy")), 1);
    assert_eq!(count(Fall::note.ge(&String::from("heavy"))), 2);
    let both = falls.scan().filter(Fall::year.lt(2011)).filter(Fall::mm.ge(1.0));
    assert_eq!(both.count(), 3);

    assert_eq!(falls.get(("Oslo", 2010, 3)).map(|fall| fall.mm), Some(1.5));
    assert!(!falls.contains((&String::from("Oslo"), 2010, 4)));
}

#[reducer(deletes(Fall))]
fn forget(ctx: &ForgetContext, place: String) -> Result<u64, String> {
    let deleted = ctx.fall.scan().prefix(&place).delete();
    if deleted == 0 { Err("nothing to forget".into()) } else { Ok(deleted) }
}

fn main() {
    let mut host = TestHost::new();
    for row in [
        fall("Oslo", 2010, 3, Kind::Snow, 1.5, None),
        fall("Oslo", 2010, 9, Kind::Snow, 4.0, Some("heavy")),
        fall("Oslo", 2011, 100, Kind::Rain, 0.5, None),
        fall("Rome", 2010, 5, Kind::Rain, 9.0, None),
        fall("Rome", 2012, 200, Kind::Rain, 3.0, Some("short")),
    ] {
        host.insert(row);
    }
    host.query(all_ways);
    assert_eq!(host.call(|ctx| forget(ctx, "Oslo".into())), Ok(3));
    assert!(host.call(|ctx| forget(ctx, "Oslo".into())).is_err());
    assert_eq!(host.rows::<Fall>().len(), 2);
}
