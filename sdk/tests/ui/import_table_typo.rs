use interstice_sdk::prelude::*;

interstice_sdk::import!("schemas/hello.json");

#[reducer(on(insert(hello::Greting)))]
fn greeted(_ctx: &GreetedContext, _row: hello::Greeting) {}

fn main() {}
