use interstice_sdk::prelude::*;

#[reducer]
struct Greet;

fn main() {}
