use interstice_sdk::prelude::*;

#[derive(Column)]
struct Mood {
    good: bool,
}

#[reducer(writes(Mood))]
fn cheer(_ctx: &CheerContext) {}

fn main() {}
