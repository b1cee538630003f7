use interstice_sdk::prelude::*;

interstice_sdk::import!("schemas/hello.json");

#[reducer(reads(hello::Greeting))]
fn look(_ctx: &LookContext) {}

fn main() {}
