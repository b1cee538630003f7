use interstice_sdk::prelude::*;

#[table]
struct Day {
    #[key]
    year: u16,
    #[key]
    month: u8,
    rain: f64,
}

#[query(reads(Day))]
fn rain(ctx: &RainContext, month: u8) -> Option<Day> {
    ctx.day.get(month)
}

fn main() {}
