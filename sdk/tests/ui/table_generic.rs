use interstice_sdk::prelude::*;

#[table]
struct Pair<T> {
    #[key]
    id: u64,
    value: T,
}

fn main() {}
