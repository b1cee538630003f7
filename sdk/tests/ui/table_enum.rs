use interstice_sdk::prelude::*;

#[table]
enum Greeting {
    Hello,
}

fn main() {}
