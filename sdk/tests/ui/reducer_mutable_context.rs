use interstice_sdk::prelude::*;

#[reducer]
fn greet(ctx: &mut GreetContext) {}

fn main() {}
