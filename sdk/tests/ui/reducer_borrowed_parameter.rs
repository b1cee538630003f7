use interstice_sdk::prelude::*;

#[reducer]
fn greet(ctx: &GreetContext, name: &str) {}

fn main() {}
