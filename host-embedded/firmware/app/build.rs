//! Finds the module that the firmware carries.

use std::{env, path::Path};

const MODULE: &str = "INTERSTICE_WEATHER";

fn main() {
    println!("cargo::rerun-if-env-changed={MODULE}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let built = "target/interstice/wasm32-unknown-unknown/release/weather.wasm";
    let module = env::var_os(MODULE).map_or_else(|| root.join(built), Into::into);
    println!("cargo::rerun-if-changed={}", module.display());
    match module.canonicalize() {
        Ok(module) => println!("cargo::rustc-env={MODULE}={}", module.display()),
        Err(error) => println!(
            "cargo::error={}: {error}. Build the module first, in the project's root: \
             cargo run -- build sdk/examples/weather. Or name its file in {MODULE}",
            module.display()
        ),
    }
}
