use interstice_sdk::prelude::*;

#[table]
struct Reading {
    #[key]
    celsius: f64,
}

fn main() {}
