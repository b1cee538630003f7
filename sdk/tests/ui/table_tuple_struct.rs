use interstice_sdk::prelude::*;

#[table]
struct Greeting(u64, String);

fn main() {}
