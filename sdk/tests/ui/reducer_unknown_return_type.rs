use interstice_sdk::prelude::*;

struct Receipt;

#[reducer]
fn greet(_ctx: &GreetContext) -> Receipt {
    Receipt
}

#[reducer]
fn part(_ctx: &PartContext) -> Result<u64, Receipt> {
    Err(Receipt)
}

fn main() {}
