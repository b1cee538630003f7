interstice_sdk::import!("schemas/not_a_schema.json");

fn main() {}
