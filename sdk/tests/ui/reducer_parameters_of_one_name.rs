use interstice_sdk::prelude::*;

#[reducer]
fn greet(ctx: &GreetContext, _name: String, name: String) {
    let _ = name;
}

fn main() {}
