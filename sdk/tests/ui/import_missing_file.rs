interstice_sdk::import!("schemas/nowhere.json");

fn main() {}
