use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[reducer(reads(Greeting))]
fn greet(ctx: &GreetContext, name: String) -> Result<(), String> {
    ctx.greeting.insert(Greeting { id: 0, name })?;
    ctx.greeting.delete(1);
    Ok(())
}

fn main() {}
