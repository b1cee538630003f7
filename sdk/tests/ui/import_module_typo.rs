use interstice_sdk::prelude::*;

interstice_sdk::import!("schemas/hello.json");

#[reducer(calls(helo::greet))]
fn forward(_ctx: &ForwardContext) {}

fn main() {}
