use interstice_sdk::prelude::*;

#[table]
struct ATableWhoseNameFitsTheSchemaButNotInSnakeCaseBecauseOfUnderscore {
    #[key]
    id: u64,
}

fn main() {}
