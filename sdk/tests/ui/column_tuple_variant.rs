use interstice_sdk::prelude::*;

#[derive(Column)]
enum Alarm {
    Frost,
    Wind(f64),
}

fn main() {}
