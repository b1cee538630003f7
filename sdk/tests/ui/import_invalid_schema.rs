interstice_sdk::import!("schemas/invalid.json");

fn main() {}
