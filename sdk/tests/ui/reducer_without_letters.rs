use interstice_sdk::prelude::*;

#[reducer]
fn _1(ctx: &Context) {}

fn main() {}
