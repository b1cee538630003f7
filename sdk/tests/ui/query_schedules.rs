use interstice_sdk::prelude::*;

#[reducer]
fn clean_up(_ctx: &CleanUpContext) {}

#[query]
fn soon(ctx: &SoonContext) {
    clean_up::schedule(ctx, ctx.now());
}

fn main() {}
