use interstice_sdk::prelude::*;

mod record {}

#[reducer]
fn record(_ctx: &RecordContext) {}

fn main() {}
