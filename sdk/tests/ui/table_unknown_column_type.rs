use interstice_sdk::prelude::*;

struct Mood;

#[table]
struct Greeting {
    #[key]
    id: u64,
    mood: Mood,
}

fn main() {}
