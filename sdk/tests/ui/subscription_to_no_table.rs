use interstice_sdk::prelude::*;

#[derive(Column)]
struct Mood {
    good: bool,
}

#[reducer(on(insert(Mood)))]
fn cheer(_ctx: &CheerContext, _mood: Mood) {}

fn main() {}
