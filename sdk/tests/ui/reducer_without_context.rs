use interstice_sdk::prelude::*;

#[reducer]
fn greet(name: String) {}

fn main() {}
