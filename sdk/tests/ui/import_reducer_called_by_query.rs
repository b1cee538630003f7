use interstice_sdk::prelude::*;

interstice_sdk::import!("schemas/hello.json");

#[query(calls(hello::greet))]
fn look(ctx: &LookContext) -> Result<u64, String> {
    hello::greet(ctx, "Ada".into())
}

fn main() {}
