use interstice_sdk::prelude::*;

#[reducer]
fn greet(ctx: &GretContext) {}

fn main() {}
