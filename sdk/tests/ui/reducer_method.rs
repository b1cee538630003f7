use interstice_sdk::prelude::*;

struct Greeter;

impl Greeter {
    #[reducer]
    fn greet(&self) {}
}

fn main() {}
