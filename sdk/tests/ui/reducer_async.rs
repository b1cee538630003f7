use interstice_sdk::prelude::*;

#[reducer]
async fn greet(ctx: &GreetContext) {}

fn main() {}
