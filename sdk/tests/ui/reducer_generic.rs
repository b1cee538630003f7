use interstice_sdk::prelude::*;

#[reducer]
fn greet<T>(ctx: &GreetContext, name: T) {}

fn main() {}
