use interstice_sdk::prelude::*;

interstice_sdk::import!("schemas/hello.json");

#[reducer(calls(hello::greet))]
fn forward(ctx: &ForwardContext) -> Result<u64, String> {
    hello::greet(ctx, 7)
}

fn main() {}
