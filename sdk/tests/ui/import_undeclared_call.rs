use interstice_sdk::prelude::*;

interstice_sdk::import!("schemas/hello.json");

#[reducer]
fn forward(ctx: &ForwardContext) -> Result<u64, String> {
    hello::greet(ctx, "Ada".into())
}

fn main() {}
