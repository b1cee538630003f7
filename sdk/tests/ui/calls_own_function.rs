use interstice_sdk::prelude::*;

#[reducer]
fn greet(_ctx: &GreetContext) {}

#[reducer(calls(greet))]
fn forward(_ctx: &ForwardContext) {}

fn main() {}
