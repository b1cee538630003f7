use interstice_sdk::prelude::*;

#[derive(Column)]
enum Level {
    Low = 1,
    High = 2,
}

fn main() {}
