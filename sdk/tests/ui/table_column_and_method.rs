use interstice_sdk::prelude::*;

#[table]
struct Reading {
    #[key]
    at: Timestamp,
    celsius: f64,
}

impl Reading {
    fn celsius(&self) -> f64 {
        self.celsius
    }
}

fn main() {}
