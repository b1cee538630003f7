use interstice_sdk::prelude::*;

interstice_sdk::import!("schemas/hello.json");

#[reducer(calls(hello::great))]
fn forward(ctx: &ForwardContext) -> Result<u64, String> {
    hello::great(ctx, "Ada".into())
}

fn main() {}
